"""Infer one shard of a run, on a GPU if there is one."""
