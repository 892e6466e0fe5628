"""One module a dataset. Each ends in `ADAPTER = …` and is found by `sources.adapter.adapters`."""
