"""Compute metrics of detections and masks against ground truth, with pure functions on arrays."""
