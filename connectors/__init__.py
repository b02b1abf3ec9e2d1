"""Connectors: data into a streamlog log and out of it."""
