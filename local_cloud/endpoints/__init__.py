"""SageMaker endpoints as real processes: the image's own server, spoken to over HTTP."""
