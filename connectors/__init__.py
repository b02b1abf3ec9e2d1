"""Connectors: data into the log and out of it, exactly once, from a YAML file."""
