"""Read the bands of several files on one pixel grid, window by window."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.raster.assets.asset import SelectedLayers, StackedAsset, combine_validity
from swath.raster.assets.tiles import StackTiles
from swath.raster.reader.memory_check import MemoryNeed, file_memory_need
from swath.raster.reader.tiled_scene import TiledScene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints, Mask
    from swath.raster.assets.stack import BandStack
    from swath.raster.dataset import PinnedDataset
    from swath.raster.reader.tiled_scene import TileSource
    from swath.raster.reader.workers import Workers
    from swath.raster.scene_info import PixelWindow, SceneInfo
    from swath.raster.validity import Validity


class StackedScene(TiledScene):
    """An open scene whose bands lie in several files, read on one pixel grid.

    Its bands are those of the model, in the model's order. Its pixels have the common dtype of the
    files. If any band is interpolated, they are float32, or float64 if float32 cannot hold the
    integers of a file exactly or its numbers are float64.
    """

    def __init__(self, info: SceneInfo, assets: Sequence[StackedAsset], stack: BandStack) -> None:
        self.info = info
        self.assets = assets
        self.stack = stack

    @property
    def etag(self) -> str:
        """Digest of the ETags of the files."""
        return stack_digest(self.stack)

    @property
    def files(self) -> Sequence[PinnedDataset]:
        """Open files of the scene, masks next to them included."""
        return [file for asset in self.assets for file in asset.scene.files]

    def read_layers(
        self, window: PixelWindow, bands: Sequence[int]
    ) -> tuple[NDArray[Any], Validity]:
        """Read the pixels of a window, and their validity band by band; see `Scene.read_layers`."""
        self.check_window(window)
        out = np.empty((len(bands), window[3], window[2]), self.info.dtype)
        parts = [(layers, layers.read(window, out)) for layers in self._layers(bands)]
        return out, combine_validity(parts, out.shape)

    def read_valid(self, window: PixelWindow, bands: Sequence[int]) -> Mask:
        """Return the mask of `read` for a window; see `Scene.read_valid`."""
        self.check_window(window)
        valid = np.zeros((window[3], window[2]), np.bool_)
        for layers in self._layers(bands):
            mask = layers.read_valid(window)
            if mask is None:
                return np.ones_like(valid)
            valid |= mask
        return valid

    def read_reduced(
        self, shape: tuple[int, int], bands: Sequence[int]
    ) -> tuple[NDArray[Any], Mask]:
        """Read the whole scene at a small size, for display; see `Scene.read_reduced`."""
        pixels = np.zeros((len(bands), *shape), self.info.dtype)
        valid = np.zeros(pixels.shape, np.bool_)
        for layers in self._layers(bands):
            layers.read_reduced((self.info.width, self.info.height), pixels, valid)
        return pixels, valid

    def open_tiles(self, bands: Sequence[int], windows: Ints, workers: Workers) -> TileSource:
        """Return a source of tiles; see `TiledScene.open_tiles`."""
        return StackTiles(self._layers(bands), self.info.dtype, windows, workers)

    def memory_need(self, bands: Sequence[int], windows: Ints) -> MemoryNeed:
        """Return the memory for reading windows with GDAL; see `TiledScene.memory_need`."""
        need = MemoryNeed(0, 0)
        for layers in self._layers(bands):
            resampler = layers.asset.resampler
            sources = [resampler.source_window((x, y, w, h)) for x, y, w, h in windows.tolist()]
            known = np.array([window for window in sources if window is not None])
            if len(known):
                file = layers.asset.scene.dataset
                need += file_memory_need(file, len(layers.numbers), known)
        return need

    def _layers(self, bands: Sequence[int]) -> list[SelectedLayers]:
        """Return the layers that come from each file of which any band is wanted."""
        selected = (asset.select(bands) for asset in self.assets)
        return [layers for layers in selected if layers is not None]


def stack_digest(stack: BandStack) -> str:
    """Return a digest of the ETags of the files of a stack, 32 hexadecimal digits."""
    lines = "".join(f"{asset.uri}\n{asset.etag}\n" for asset in stack.assets)
    return hashlib.sha256(lines.encode()).hexdigest()[:32]
