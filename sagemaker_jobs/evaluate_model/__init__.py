"""Measures a model package on labelled scenes, as a SageMaker Processing job."""
