"""Define the version of swath for its package, its outputs and its logs."""

__version__ = "0.1.0"
