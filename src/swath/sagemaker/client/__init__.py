"""Asking a SageMaker endpoint: for one shard of a run, or for what is in an image."""
