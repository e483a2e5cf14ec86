"""Handle files, paths, locks and log lines."""
