"""What `processors` adds to the `streamlog` command."""
