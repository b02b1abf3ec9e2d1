"""What the `streamlog` command asks of the connectors."""
