"""What `bin/benchmark` measures: one module for each part of the system, with its flags and a `main(argv)`."""
