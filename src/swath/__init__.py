"""Find what your model detects in satellite scenes, on a laptop or on AWS, with the same result."""

__version__ = "0.1.0"
