"""Evaluate a model package on labeled scenes, as a SageMaker Processing job."""
