"""Check permissions: identify the caller, the actions of the call, and the granting policy."""
