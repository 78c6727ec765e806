"""Evaluate a model package on labeled scenes: compute metrics, write a report, and apply a gate."""
