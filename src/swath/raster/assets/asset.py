"""Hold an open file of a stack, with the bands that the stack takes from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.raster.validity import Validity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints, Mask
    from swath.raster.assets.alignment import Axis
    from swath.raster.assets.resample import Resampler
    from swath.raster.scene import FileScene
    from swath.raster.scene_info import PixelWindow


@dataclass(frozen=True, slots=True)
class StackedAsset:
    """Open file of a stack."""

    scene: FileScene
    resampler: Resampler
    """Resampling of the file's pixels to the grid of the stack."""
    numbers: tuple[int | None, ...]
    """Number of each band of the stack in the file, from 1; None for bands of other files."""

    def select(self, bands: Sequence[int]) -> SelectedLayers | None:
        """Return the layers that bands of the stack take from this file; None if there are none.

        Args:
            bands: Numbers of bands of the stack, from 1, in the order wanted.
        """
        layers = [(i, self.numbers[band - 1]) for i, band in enumerate(bands)]
        taken = [(i, number) for i, number in layers if number is not None]
        if not taken:
            return None
        positions, numbers = zip(*taken, strict=True)
        return SelectedLayers(self, numbers, positions)


@dataclass(frozen=True, slots=True)
class SelectedLayers:
    """Layers of a result that come from one file."""

    asset: StackedAsset
    numbers: tuple[int, ...]
    """Numbers of the bands in the file, from 1."""
    positions: tuple[int, ...]
    """Index of each band in the result."""

    def read(self, window: PixelWindow, out: NDArray[Any]) -> Validity:
        """Read the layers of a window with GDAL, and return their validity.

        Args:
            window: Window (x, y, width, height) in grid px.
            out: Result (bands, rows, cols), of which the layers are filled.

        Raises:
            SceneError: The file is damaged in the window.
            SceneChangedError: The file was replaced since it was opened.
            TransientError: S3 did not answer.
        """
        source = self.asset.resampler.source_window(window)
        if source is None:
            return self.fill_outside(out)
        pixels, valid = self.asset.scene.read_layers(source, self.numbers)
        return self.resample(pixels, valid, window, out)

    def resample(
        self, pixels: NDArray[Any], valid: Validity, window: PixelWindow, out: NDArray[Any]
    ) -> Validity:
        """Resample pixels of the file to a window, and return the validity of the layers.

        Args:
            pixels: Pixels (layers, rows, cols) of the file.
            valid: Validity of these pixels.
            window: Window (x, y, width, height) in grid px.
            out: Result (bands, rows, cols), of which the layers are filled.
        """
        first, count = self.positions[0], len(self.positions)
        if self.positions == tuple(range(first, first + count)):
            layers = out[first : first + count]
            return self.asset.resampler.resample(pixels, valid, window, layers)
        layers = np.empty((count, *out.shape[1:]), out.dtype)
        known = self.asset.resampler.resample(pixels, valid, window, layers)
        out[list(self.positions)] = layers
        return known

    def fill_outside(self, out: NDArray[Any]) -> Validity:
        """Fill the layers of a window that lies outside the file, where no pixel is valid."""
        out[list(self.positions)] = 0
        return Validity(np.zeros(out.shape[1:], np.bool_))

    def read_valid(self, window: PixelWindow) -> Mask | None:
        """Return where any of the layers is valid, (rows, cols); None if it is everywhere.

        Arguments and errors are those of `read`.
        """
        source = self.asset.resampler.source_window(window)
        if source is None:
            return np.zeros((window[3], window[2]), np.bool_)
        valid = self.asset.scene.read_valid(source, self.numbers)
        return self.asset.resampler.resample_mask(None if valid.all() else valid, window)

    def read_reduced(self, size: tuple[int, int], out: NDArray[Any], valid: Mask) -> None:
        """Read the layers of the whole grid at a small size, for display.

        Args:
            size: Width and height of the grid in px.
            out: Result (bands, rows, cols), of which the layers are filled.
            valid: Mask (bands, rows, cols), of which the layers are filled, True = valid.

        Raises:
            SceneError: The file is damaged.
            SceneChangedError: The file was replaced since it was opened.
            TransientError: S3 did not answer.
        """
        alignment, rows, cols = self.asset.resampler.alignment, *out.shape[1:]
        across, width = reduced_positions(alignment.x, size[0], cols)
        down, height = reduced_positions(alignment.y, size[1], rows)
        pixels, known = self.asset.scene.read_reduced((height, width), self.numbers)
        inside = (down >= 0)[:, None] & (across >= 0)
        for position, layer, mask in zip(self.positions, pixels, known, strict=True):
            out[position] = np.where(inside, layer[down][:, across], 0)
            valid[position] = inside & mask[down][:, across]


def reduced_positions(axis: Axis, size: int, count: int) -> tuple[Ints, int]:
    """Return where to read a file that is reduced by the same factor as the grid.

    Args:
        axis: Alignment of the axis.
        size: Length of the grid in px.
        count: Number of px of the reduced grid.

    Returns:
        Pixel of the reduced file for each px of the reduced grid, int64 (count,), -1 for those
        outside the file; and the length in px of the reduced file.
    """
    step = axis.scale * size / count  # length of a px of the reduced grid in px of the file
    length = min(axis.size, max(1, round(axis.size / step)))
    positions = (np.arange(count) + 0.5) * step + axis.offset
    index = np.floor(positions * length / axis.size).astype(np.int64)
    return np.where((index >= 0) & (index < length), index, -1), length


def combine_validity(
    parts: Sequence[tuple[SelectedLayers, Validity]], shape: tuple[int, ...]
) -> Validity:
    """Return the validity of a result whose layers come from several files.

    Args:
        parts: Layers that come from each file, and their validity.
        shape: Bands, rows and columns of the result.
    """
    if all(valid.input_mask is None for _, valid in parts):
        return Validity()
    bands = np.ones(shape, np.bool_)
    for layers, valid in parts:
        if valid.input_mask is not None:
            bands[list(layers.positions)] = valid.input_mask
    masks = [valid.pixels for _, valid in parts if valid.pixels is not None]
    pixels = np.logical_or.reduce(masks) if len(masks) == len(parts) else None
    if (bands == bands[0]).all() and (pixels is None or (bands[0] == pixels).all()):
        return Validity(None if bands[0].all() else bands[0])
    return Validity(None if pixels is None or pixels.all() else pixels, bands)
