"""What leaves: the release folder (`folder`), the report (`report`), pictures with boxes (`pictures`)."""
