"""Everything of Amazon SageMaker: the container, its clients and the jobs."""
