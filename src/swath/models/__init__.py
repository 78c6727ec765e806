"""A model package: describe it, verify it, load it, run it."""
