"""A network by its name."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from swath.errors import InputError

if TYPE_CHECKING:
    from swath.training.networks.network import Network

# By name, so that only who asks for one of the library's imports what it needs.
_NETWORKS = {
    "detector": ("detectors", "Detectors", 16),
    "unet": ("unet", "UNet", 32),
    "segformer": ("segformer", "SegFormer", 32),
    "rtdetrv2": ("detr", "RtDetrV2", 32),
    "d-fine": ("detr", "DFine", 32),
}
"""The module, the class, and what tiles are a multiple of, by default: px."""


def build(name: str, *, bands: int, classes: int, size: int, **options: Any) -> Network:
    """A network with random weights, as torch's generator gives them, or with pretrained ones.

    Args:
        name: `detector`, `unet`, `segformer`, `rtdetrv2` or `d-fine`.
        bands: of its tiles.
        classes: that it tells apart, background not counted.
        size: of its tiles, px.
        options: of that network, as its class describes them.

    Raises:
        InputError: there is no such network, it has no such option, or its tiles have another size.
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
    """The names of a network's own options, and of those of its members."""
    found: set[str] = set()
    for kind in (network, getattr(network, "member", None)):
        if kind is not None:
            found.update(inspect.signature(kind.__init__).parameters)
    return found - {"self", "bands", "classes", "size", "options"}
