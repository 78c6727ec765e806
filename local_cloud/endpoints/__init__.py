"""Run SageMaker endpoints as real processes: the image's own server, called over HTTP."""
