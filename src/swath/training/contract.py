"""Define the names that trainings and their launchers share, without importing torch."""

CHECKPOINT_FILE = "checkpoint.pt"
"""File name of a checkpoint. Jobs on SageMaker keep it in a folder named `TrainOptions.digest`."""
LAUNCH_HYPERPARAMETER = "launch"
"""Hyperparameter that identifies a launch; each launch has the full time limit, `minutes`."""
