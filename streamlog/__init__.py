"""Kafka's log in a Python process."""
