"""Decode a model's outputs for one tile, with one module for each family of heads."""
