"""Hold the commands that need tfamt alone, one a module."""
