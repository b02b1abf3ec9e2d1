"""Operators over chunks: what a task runs. One family a file; the hot loops are in `kernel`."""
