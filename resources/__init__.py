"""What assets are made with: where things lie (`lake`), the stages (`corpus`), tables and outputs."""
