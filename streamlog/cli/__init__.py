"""The `streamlog` command."""
