"""What an application is written in: streams, groupings, tables."""
