"""Tasks: what runs a source or a sink."""
