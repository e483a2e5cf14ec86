"""Hold the parts of bin/benchmark, one measurement a module."""
