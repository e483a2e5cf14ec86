"""Other transcribers for `bin/benchmark transcribe --compare_with`, each in an environment of its own."""
