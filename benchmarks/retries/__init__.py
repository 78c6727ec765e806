"""Simulate what the state machine's retry policies do where Lambda has few slots free."""
