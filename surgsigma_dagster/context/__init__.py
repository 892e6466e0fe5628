"""What is known of one frame: correlated labels joined (`scene`), and the same in words (`words`)."""
