"""Networks that can be trained, one way to ask for each."""

from swath.training.networks.builders import build
from swath.training.networks.network import Head, Network, Targets, in_float32

__all__ = ["Head", "Network", "Targets", "build", "in_float32"]
