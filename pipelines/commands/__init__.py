"""Commands that need the data pipelines as well as tfamt."""
