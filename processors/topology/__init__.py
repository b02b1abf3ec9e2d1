"""The graph that the user writes, and what is made of it before a record moves (pure)."""
