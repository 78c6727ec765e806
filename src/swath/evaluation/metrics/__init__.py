"""Figures of detections and masks against what is known: pure functions on arrays."""
