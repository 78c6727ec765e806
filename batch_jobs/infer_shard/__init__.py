"""Infers one shard of a run, on a GPU where there is one."""
