"""Test tfamt; `python -m tests` runs the tests with all other checks."""
