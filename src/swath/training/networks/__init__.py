"""Build networks that can be trained, all with the same interface."""

from swath.training.networks.builders import build
from swath.training.networks.network import Head, Network, Targets, in_float32

__all__ = ["Head", "Network", "Targets", "build", "in_float32"]
