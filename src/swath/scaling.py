"""From a scene's numbers to the model's: the value scalings of STAC MLM, applied band by band."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]


class MinMax(msgspec.Struct, frozen=True, tag_field="type", tag="min-max"):
    """`(data - minimum) / (maximum - minimum)`."""

    minimum: float
    maximum: float

    def apply(self, band: Pixels) -> Pixels:
        """Scale one band."""
        return (band - np.float32(self.minimum)) / np.float32(self.maximum - self.minimum)


class ZScore(msgspec.Struct, frozen=True, tag_field="type", tag="z-score"):
    """`(data - mean) / stddev`."""

    mean: float
    stddev: float

    def apply(self, band: Pixels) -> Pixels:
        """Scale one band."""
        return (band - np.float32(self.mean)) / np.float32(self.stddev)


class Clip(msgspec.Struct, frozen=True, tag_field="type", tag="clip"):
    """`min(max(data, minimum), maximum)`."""

    minimum: float
    maximum: float

    def apply(self, band: Pixels) -> Pixels:
        """Scale one band."""
        return np.clip(band, np.float32(self.minimum), np.float32(self.maximum))


class ClipMin(msgspec.Struct, frozen=True, tag_field="type", tag="clip-min"):
    """`max(data, minimum)`."""

    minimum: float

    def apply(self, band: Pixels) -> Pixels:
        """Scale one band."""
        return np.maximum(band, np.float32(self.minimum))


class ClipMax(msgspec.Struct, frozen=True, tag_field="type", tag="clip-max"):
    """`min(data, maximum)`."""

    maximum: float

    def apply(self, band: Pixels) -> Pixels:
        """Scale one band."""
        return np.minimum(band, np.float32(self.maximum))


class Offset(msgspec.Struct, frozen=True, tag_field="type", tag="offset"):
    """`data - value`."""

    value: float

    def apply(self, band: Pixels) -> Pixels:
        """Scale one band."""
        return band - np.float32(self.value)


class Scale(msgspec.Struct, frozen=True, tag_field="type", tag="scale"):
    """`data / value`."""

    value: float

    def apply(self, band: Pixels) -> Pixels:
        """Scale one band."""
        return band / np.float32(self.value)


Scaling = MinMax | ZScore | Clip | ClipMin | ClipMax | Offset | Scale


def divides_by_zero(scaling: Scaling | None) -> bool:
    """Whether the scaling would turn every pixel into infinity or NaN."""
    match scaling:
        case MinMax(minimum, maximum):
            return maximum <= minimum
        case ZScore(_, divisor) | Scale(divisor):
            return divisor == 0
        case _:
            return False


def scale(pixels: Pixels, scalings: Sequence[Scaling | None]) -> Pixels:
    """Scale a tile in place, float32 (bands, rows, cols); None leaves its band as it is."""
    for band, scaling in zip(pixels, scalings, strict=True):
        if scaling is not None:
            band[...] = scaling.apply(band)
    return pixels
