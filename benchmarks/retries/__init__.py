"""Simulate the state machine's retry policies in accounts with few Lambda slots."""
