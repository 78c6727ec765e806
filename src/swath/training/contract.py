"""Names that trainings and those who launch them agree on; importing them needs no torch."""

CHECKPOINT = "checkpoint.pt"
"""File of a checkpoint, in a folder named by `TrainOptions.digest` where jobs keep them."""
LAUNCH = "launch"
"""Hyperparameter that identifies a launch: `minutes` are counted anew for each."""
