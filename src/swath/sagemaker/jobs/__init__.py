"""Start jobs on SageMaker (training, tuning, evaluation, batch transform), and register models."""
