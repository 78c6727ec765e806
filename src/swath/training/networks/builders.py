"""Build a network by its name."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from swath.errors import InputError

if TYPE_CHECKING:
    from swath.training.networks.network import Network

# Modules are named here and not imported, so that each network imports only its own dependencies.
_NETWORK_CLASSES = {
    "detector": ("detector_ensemble", "DetectorEnsemble", 16),
    "unet": ("unet", "UNet", 32),
    "segformer": ("segformer", "SegFormer", 32),
    "rtdetrv2": ("detr", "RtDetrV2", 32),
    "d-fine": ("detr", "DFine", 32),
}
"""Module, class, and by default the number of px that the tile size must be a multiple of."""


def build_network(name: str, *, bands: int, classes: int, size: int, **options: Any) -> Network:
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
    if name not in _NETWORK_CLASSES:
        raise InputError(
            f"there is no network {name!r}; choose one of {', '.join(_NETWORK_CLASSES)}"
        )
    module, class_name, step = _NETWORK_CLASSES[name]
    network_class = getattr(import_module(f"swath.training.networks.{module}"), class_name)
    known = _option_names(network_class)
    if unknown := options.keys() - known:
        raise InputError(
            f"the network {name} has no option {', '.join(sorted(unknown))}; "
            f"it has {', '.join(sorted(known))}"
        )
    if "channels" in options:
        step = options.get("stride", 2) * 2 ** (len(options["channels"]) - 1)
    if size % step:
        raise InputError(f"tiles are {size} px wide; the network {name} needs a multiple of {step}")
    network: Network = network_class(bands=bands, classes=classes, size=size, **options)
    return network


def _option_names(network: Any) -> set[str]:
    """Return the names of a network's own options and of its members' options."""
    names: set[str] = set()
    for kind in (network, getattr(network, "member", None)):
        if kind is not None:
            names.update(inspect.signature(kind.__init__).parameters)
    return names - {"self", "bands", "classes", "size", "options"}
