"""Sources: one connector a file."""
