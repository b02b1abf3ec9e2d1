"""The client: one contract, and the transport that keeps the log in this process."""
