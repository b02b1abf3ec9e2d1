"""The runtime: rounds, exchange, commit, restore, the worker."""
