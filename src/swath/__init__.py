"""Find what your model detects in satellite scenes, on a laptop or on AWS, with the same result."""

from swath.observability import telemetry

__version__ = "0.1.0"

# Before any library is imported that would report.
telemetry.switch_off()
