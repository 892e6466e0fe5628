"""What must hold (`rules`), what was turned down and why (`rejects`). Pure functions over tables."""
