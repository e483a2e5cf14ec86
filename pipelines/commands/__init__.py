"""Hold the commands that need data sets, one a module."""
