"""Heads: from a model's outputs for one tile to what they say, one module for each family."""
