"""The only place that names columns: what adapters yield (`native`) and the unified tables (`tables`)."""
