"""Jobs on SageMaker: training, tuning, batch transform, and the registry of models."""
