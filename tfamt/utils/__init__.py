"""Files, paths, locks and log lines."""
