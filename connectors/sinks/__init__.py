"""Sinks: one connector a file."""
