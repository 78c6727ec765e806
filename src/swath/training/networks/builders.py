"""A network by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from swath.errors import InputError
from swath.training.networks.detector import Detector
from swath.training.networks.unet import UNet

if TYPE_CHECKING:
    from swath.training.networks.network import Network

_BUILDERS: dict[str, Callable[..., Network]] = {"detector": Detector, "unet": UNet}


def build(name: str, *, bands: int, classes: int, size: int, **options: Any) -> Network:
    """A network with random weights, as torch's generator gives them.

    Args:
        name: `detector`, `unet`, `segformer`, `rtdetrv2` or `d-fine`.
        bands: of its tiles.
        classes: that it tells apart, background not counted.
        size: of its tiles, px.
        options: of that network, as its class describes them.

    Raises:
        InputError: there is no such network or option, or it cannot be of this size.
    """
    if name not in _BUILDERS:
        raise InputError(f"there is no network {name!r}; choose one of {', '.join(_BUILDERS)}")
    return _BUILDERS[name](bands=bands, classes=classes, size=size, **options)
