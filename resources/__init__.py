"""What assets are made with: where things lie (`lake`), what is asked for (`corpus`), the tables' reader (`warehouse`)."""
