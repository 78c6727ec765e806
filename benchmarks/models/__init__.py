"""Detectors to measure with: random weights, but real networks in real packages."""
