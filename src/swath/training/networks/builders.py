"""Build a network by its name."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from swath.errors import InputError

if TYPE_CHECKING:
    from swath.training.networks.network import Network

# Modules are named here and not imported, so that each network imports only its own dependencies.
_NETWORKS = {
    "detector": ("detectors", "Detectors", 16),
    "unet": ("unet", "UNet", 32),
    "segformer": ("segformer", "SegFormer", 32),
    "rtdetrv2": ("detr", "RtDetrV2", 32),
    "d-fine": ("detr", "DFine", 32),
}
"""Module, class, and by default the number of px that the tile size must be a multiple of."""


def build(name: str, *, bands: int, classes: int, size: int, **options: Any) -> Network:
    """Return a network with random weights from torch's generator, or with pretrained weights.

    Args:
        name: Name of the network: `detector`, `unet`, `segformer`, `rtdetrv2` or `d-fine`.
        bands: Number of bands of the tiles.
        classes: Number of classes, without background.
        size: Tile size in px.
        options: Options of the network, described in its class.

    Raises:
        InputError: The name or an option is unknown, or the tile size is not a multiple of what
            the network needs.
    """
    if name not in _NETWORKS:
        raise InputError(f"there is no network {name!r}; choose one of {', '.join(_NETWORKS)}")
    module, kind, step = _NETWORKS[name]
    known = getattr(import_module(f"swath.training.networks.{module}"), kind)
    offered = _offered(known)
    if unknown := options.keys() - offered:
        raise InputError(
            f"the network {name} has no option {', '.join(sorted(unknown))}; "
            f"it has {', '.join(sorted(offered))}"
        )
    if "channels" in options:
        step = options.get("stride", 2) * 2 ** (len(options["channels"]) - 1)
    if size % step:
        raise InputError(
            f"tiles are {size} px wide; for the network {name}, take a multiple of {step}"
        )
    network: Network = known(bands=bands, classes=classes, size=size, **options)
    return network


def _offered(network: Any) -> set[str]:
    """Return the names of a network's own options and of its members' options."""
    found: set[str] = set()
    for kind in (network, getattr(network, "member", None)):
        if kind is not None:
            found.update(inspect.signature(kind.__init__).parameters)
    return found - {"self", "bands", "classes", "size", "options"}
