"""Which videos show one and the same operation, and which split it belongs to. Facts in `*.yaml`, with citations."""
