"""One measurement a module: the parts of bin/benchmark."""
