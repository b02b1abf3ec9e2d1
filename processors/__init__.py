"""Stream processing with exactly-once state on a streamlog log."""
