"""Invoke SageMaker endpoints for a shard of a run, or for the detections in an image."""
