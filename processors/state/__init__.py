"""State: a cache over a byte store, whose write-ahead log is a changelog topic."""
