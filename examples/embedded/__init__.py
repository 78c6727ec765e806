"""A pipeline in the stack of somebody else."""
