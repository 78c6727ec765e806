"""Build networks that can be trained, all with the same interface."""

from swath.training.networks.builders import build_network
from swath.training.networks.network import HeadSpec, Network, Targets, to_float32

__all__ = ["HeadSpec", "Network", "Targets", "build_network", "to_float32"]
