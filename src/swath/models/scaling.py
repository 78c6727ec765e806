"""Scale a scene's pixels for a model, band by band, with the value scalings of STAC MLM.

Each formula is a sequence of elementary float32 operations. The formula gives the operations by
name, so that every device runs the same ones and rounds alike. They are not combined into
one multiplication, which would save little time and change the last bit.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Step = tuple[Literal["subtract", "divide", "maximum", "minimum"], float]
"""Name of an operation, the same in NumPy and in torch, and its second operand."""

_IDENTITY_STEPS: tuple[Step, ...] = (("subtract", 0.0), ("divide", 1.0))


class MinMax(msgspec.Struct, frozen=True, tag_field="type", tag="min-max"):
    """`(data - minimum) / (maximum - minimum)`."""

    minimum: float
    maximum: float

    @property
    def steps(self) -> tuple[Step, ...]:
        """The formula."""
        return ("subtract", self.minimum), ("divide", self.maximum - self.minimum)


class ZScore(msgspec.Struct, frozen=True, tag_field="type", tag="z-score"):
    """`(data - mean) / stddev`."""

    mean: float
    stddev: float

    @property
    def steps(self) -> tuple[Step, ...]:
        """The formula."""
        return ("subtract", self.mean), ("divide", self.stddev)


class Clip(msgspec.Struct, frozen=True, tag_field="type", tag="clip"):
    """`min(max(data, minimum), maximum)`."""

    minimum: float
    maximum: float

    @property
    def steps(self) -> tuple[Step, ...]:
        """The formula."""
        return ("maximum", self.minimum), ("minimum", self.maximum)


class ClipMin(msgspec.Struct, frozen=True, tag_field="type", tag="clip-min"):
    """`max(data, minimum)`."""

    minimum: float

    @property
    def steps(self) -> tuple[Step, ...]:
        """The formula."""
        return (("maximum", self.minimum),)


class ClipMax(msgspec.Struct, frozen=True, tag_field="type", tag="clip-max"):
    """`min(data, maximum)`."""

    maximum: float

    @property
    def steps(self) -> tuple[Step, ...]:
        """The formula."""
        return (("minimum", self.maximum),)


class Offset(msgspec.Struct, frozen=True, tag_field="type", tag="offset"):
    """`data - value`."""

    value: float

    @property
    def steps(self) -> tuple[Step, ...]:
        """The formula."""
        return (("subtract", self.value),)


class Scale(msgspec.Struct, frozen=True, tag_field="type", tag="scale"):
    """`data / value`."""

    value: float

    @property
    def steps(self) -> tuple[Step, ...]:
        """The formula."""
        return (("divide", self.value),)


Scaling = MinMax | ZScore | Clip | ClipMin | ClipMax | Offset | Scale


def is_degenerate(scaling: Scaling | None) -> bool:
    """Return whether a scaling divides by zero or has a maximum below its minimum."""
    match scaling:
        case MinMax(minimum, maximum):
            return bool(maximum <= minimum or _to_float32(maximum - minimum) == 0)
        case ZScore(_, divisor) | Scale(divisor):
            return bool(_to_float32(divisor) == 0)
        case _:
            return False


class FiniteRange(NamedTuple):
    """Range of each band whose numbers stay finite in float32 when scaled, limits included."""

    low: tuple[np.float32, ...]
    """(bands,): lowest number of each band."""
    high: tuple[np.float32, ...]
    """(bands,): highest number of each band."""

    @property
    def common(self) -> tuple[np.float32, np.float32]:
        """Lowest and highest number that stay finite in every band."""
        return max(self.low), min(self.high)


def finite_range(scalings: Sequence[Scaling | None]) -> FiniteRange:
    """Return the range of numbers that the scaling of each band keeps finite in float32.

    Each step is monotonic, so the whole scaling is monotonic. The numbers that stay finite are
    therefore one range. A bisection gives its limits, exact to the last bit.

    Args:
        scalings: Scaling of each band; None leaves the band unscaled.
    """
    ranges = [_band_range(scaling_steps(scaling)) for scaling in scalings]
    return FiniteRange(tuple(low for low, _ in ranges), tuple(high for _, high in ranges))


@functools.lru_cache(maxsize=256)
def _band_range(steps: tuple[Step, ...]) -> tuple[np.float32, np.float32]:
    """Return the lowest and the highest number that stay finite.

    If 0 does not stay finite, the range is empty: the lowest is above the highest.
    """
    limits = []
    for sign in (np.float32(-1), np.float32(1)):
        # The bits of nonnegative float32 numbers, read as integers, have the same order.
        finite, infinite = -1, int(np.float32(np.inf).view(np.int32))
        while infinite - finite > 1:
            middle = (finite + infinite) // 2
            if _stays_finite(sign * np.int32(middle).view(np.float32), steps):
                finite = middle
            else:
                infinite = middle
        limits.append(sign * np.int32(finite).view(np.float32) if finite >= 0 else -sign)
    return limits[0], limits[1]


def _stays_finite(number: np.float32, steps: Sequence[Step]) -> bool:
    out = np.empty((1, 1), np.float32)
    with np.errstate(all="ignore"):
        scale_into(out, np.full((1, 1), number), [steps])
    return bool(np.isfinite(out).all())


def _to_float32(number: float) -> np.float32:
    with np.errstate(over="ignore"):
        return np.float32(number)


def scaling_steps(scaling: Scaling | None) -> tuple[Step, ...]:
    """Return the operations of a band's scaling, without those that change no number."""
    steps = scaling.steps if scaling else ()
    return tuple(step for step in steps if step not in _IDENTITY_STEPS)


def scale_into(out: Pixels, tile: NDArray[Any], steps: Sequence[Sequence[Step]]) -> None:
    """Scale a tile.

    Args:
        out: Scaled tile, float32 (bands, rows, cols), which is overwritten.
        tile: Tile of the same shape, in the scene's numbers, with any memory layout.
        steps: Operations of each band, from `steps_of`.
    """
    for target, band, operations in zip(out, tile, steps, strict=True):
        target[...] = band
        for name, value in operations:
            getattr(np, name)(target, np.float32(value), out=target)
