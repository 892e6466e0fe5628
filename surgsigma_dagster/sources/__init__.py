"""Reading sources: one adapter a dataset in `datasets/`, the readers they share, and `sources.yaml`."""
