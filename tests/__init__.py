"""Test tfamt, pipelines and benchmarks."""

# It prepares the import of TensorFlow, which tests and what they start import in any order.
import tfamt  # noqa: F401
