"""Tasks (one declaration in `tasks/` and one file in `templates/` each) and the engine that instantiates them."""
