"""The operators as written, a file a family: what they are and what they need of others (pure)."""
