"""Version of swath, as its package, its outputs and its logs state it."""

__version__ = "0.1.0"
