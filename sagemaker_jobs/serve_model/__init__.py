"""Serve one model package on every kind of SageMaker endpoint."""
