"""Test tfamt, pipelines and benchmarks; `python -m tests` runs the tests with all other checks."""

# It prepares the import of TensorFlow, which tests and what they start import in any order.
import tfamt  # noqa: F401
