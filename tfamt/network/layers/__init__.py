"""Hold Keras layers, one a file."""
