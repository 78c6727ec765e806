"""Train a model as a SageMaker training job."""
