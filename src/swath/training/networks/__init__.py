"""Networks that can be trained, one way to ask for each."""

from swath.training.networks.builders import build
from swath.training.networks.network import Head, Network, Targets

__all__ = ["Head", "Network", "Targets", "build"]
