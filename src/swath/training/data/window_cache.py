"""Cache decoded windows of scenes, from which crops are cut."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.raster.band_units import Units
from swath.raster.radiometry.units import conversion
from swath.raster.scene import Scene
from swath.raster.scene_info import PixelWindow, SceneInfo
from swath.training.data.model_scenes import ModelScene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Mask

MAX_WHOLE_SCENE_BYTES = 64 << 20
"""Maximum size in bytes of a scene that is decoded as a single window."""
_WINDOW_SIDE = 512
"""Approximate side in px of the windows of a larger scene."""
_MAX_IDLE_SCENES = 32
"""Maximum number of idle scenes that are kept open."""

RasterizeWindow = Callable[[int, PixelWindow], "NDArray[np.uint8]"]
"""Function that returns the class map of a window, given the scene's index in the collection."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelLayers:
    """Pixels, masks and class map of a window of a scene."""

    pixels: NDArray[Any]
    """Pixels, (bands, rows, cols), in the common dtype of the collection."""
    valid: Mask | None
    """Mask of the pixels, (rows, cols); True where any band is valid; None if all are valid."""
    labels: NDArray[np.uint8] | None
    """Class index of each pixel, (rows, cols); None without class maps."""
    valid_bands: Mask | None = None
    """Mask of each band, (bands, rows, cols); True = valid; None where `valid` holds for all
    bands."""

    @property
    def nbytes(self) -> int:
        """Size in memory in bytes."""
        layers = (self.pixels, self.valid, self.labels, self.valid_bands)
        return sum(layer.nbytes for layer in layers if layer is not None)


def common_dtype(headers: Sequence[SceneInfo], *, converted: bool) -> np.dtype[Any]:
    """Return the dtype that holds the pixels of all scenes.

    Args:
        headers: Headers of the scenes.
        converted: Whether pixels of any scene are converted to other units, as floats.
    """
    dtype = np.result_type(*(header.dtype for header in headers))
    return np.result_type(dtype, np.float32) if converted else dtype


def window_shape(
    scene: ModelScene, pixel_bytes: int, *, max_bytes: int = MAX_WHOLE_SCENE_BYTES
) -> tuple[int, int]:
    """Return the shape (rows, cols) in px of the windows that a scene is decoded in.

    A window is the whole scene if the scene is small. Otherwise, along each axis, a window consists
    of whole blocks if these are at most 1024 px long, and is 512 px long if they are longer.

    Args:
        scene: Scene on the model's grid.
        pixel_bytes: Size in bytes of all layers of a pixel.
        max_bytes: Maximum size in bytes of a scene that is decoded as a single window. Scene px
            that are resampled to larger px of the grid count as well.
    """
    info = scene.info
    if info.width * info.height * pixel_bytes * scene.read_pixels <= max_bytes:
        return info.height, info.width
    rows, cols = (
        -(-_WINDOW_SIDE // block) * block if block <= 2 * _WINDOW_SIDE else _WINDOW_SIDE
        for block in info.block_shape
    )
    return min(rows, info.height), min(cols, info.width)


class ScenePool:
    """A pool of open scenes, each used by one thread at a time and kept open for the next."""

    def __init__(self, scenes: Sequence[ModelScene]) -> None:
        """Create an empty pool for the scenes of a collection.

        Args:
            scenes: Scenes, in the order of the collection.
        """
        self._scenes = scenes
        self._lock = threading.Lock()
        self._idle: list[tuple[int, ExitStack, Scene]] = []
        self._inherited: list[tuple[int, ExitStack, Scene]] = []
        self._owner = os.getpid()

    @contextmanager
    def borrow(self, scene_index: int) -> Iterator[Scene]:
        """Lend an open scene, by its index in the collection, for the duration of the block."""
        stack, scene = self._acquire(scene_index)
        try:
            yield scene
        except BaseException:
            stack.close()
            raise
        self._release(scene_index, stack, scene)

    def _acquire(self, scene_index: int) -> tuple[ExitStack, Scene]:
        with self._lock:
            if self._owner != os.getpid():
                # After a fork, idle scenes share their connections with the parent process. They
                # must be neither used nor closed here; the list keeps them from being collected.
                self._inherited, self._idle = self._inherited + self._idle, []
                self._owner = os.getpid()
            for number, (index, stack, scene) in enumerate(self._idle):
                if index == scene_index:
                    del self._idle[number]
                    return stack, scene
        stack = ExitStack()
        return stack, stack.enter_context(self._scenes[scene_index].open())

    def _release(self, scene_index: int, stack: ExitStack, scene: Scene) -> None:
        with self._lock:
            self._idle.append((scene_index, stack, scene))
            surplus = self._idle.pop(0)[1] if len(self._idle) > _MAX_IDLE_SCENES else None
        if surplus:
            surplus.close()

    def __getstate__(self) -> Sequence[ModelScene]:
        return self._scenes

    def __setstate__(self, scenes: Sequence[ModelScene]) -> None:
        self.__init__(scenes)  # type: ignore[misc] # open files are not pickled


class WindowCache:
    """A cache of decoded windows of a collection's scenes, for any number of threads."""

    def __init__(
        self,
        scenes: Sequence[ModelScene],
        *,
        units: Units,
        max_bytes: int,
        rasterize: RasterizeWindow | None = None,
    ) -> None:
        """Determine the shapes of the windows; nothing is read yet.

        Args:
            scenes: Scenes with the same bands, in the order of the pixels' first axis.
            units: Unit of each band's pixels in the result.
            max_bytes: Maximum size of the cache in bytes.
            rasterize: Function that returns class maps; None for no class maps.

        Raises:
            SceneError: A scene has a unit that cannot be converted.
        """
        self.scenes = tuple(scenes)
        self._convert = [
            conversion(scene.info, scene.bands, scene.needs.names, units) for scene in scenes
        ]
        self.dtype = common_dtype([scene.info for scene in scenes], converted=any(self._convert))
        self._scene_pool = ScenePool(self.scenes)
        self._max_bytes, self._rasterize = max_bytes, rasterize
        pixel_bytes = len(units) * self.dtype.itemsize + 2  # includes the mask and the class map
        window_bytes = min(MAX_WHOLE_SCENE_BYTES, max_bytes // 4)
        self._shapes = [
            window_shape(scene, pixel_bytes, max_bytes=window_bytes) for scene in scenes
        ]
        self._clear()

    def _clear(self) -> None:
        self._lock = threading.Lock()
        self._windows: OrderedDict[tuple[int, int, int], PixelLayers] = OrderedDict()
        self._bytes = 0

    def read(self, scene_index: int, window: PixelWindow, out: PixelLayers) -> None:
        """Copy a window of a scene into pixel layers.

        Args:
            scene_index: Index of the scene in the collection.
            window: Window within the scene, (x, y, width, height) in px.
            out: Layers of the window's shape, to which the window is copied.
        """
        x, y, width, height = window
        rows, cols = self._shapes[scene_index]
        for row in range(y // rows, (y + height - 1) // rows + 1):
            for col in range(x // cols, (x + width - 1) // cols + 1):
                decoded = self._cached_window((scene_index, row, col))
                _copy_overlap(decoded, (x - col * cols, y - row * rows), out)

    def _cached_window(self, key: tuple[int, int, int]) -> PixelLayers:
        with self._lock:
            if key in self._windows:
                self._windows.move_to_end(key)
                return self._windows[key]
        window = self._decode(*key)
        with self._lock:
            if key not in self._windows:
                self._windows[key] = window
                self._bytes += window.nbytes
            while self._bytes > self._max_bytes and len(self._windows) > 1:
                self._bytes -= self._windows.popitem(last=False)[1].nbytes
        return window

    def _decode(self, scene_index: int, row: int, col: int) -> PixelLayers:
        known, (rows, cols) = self.scenes[scene_index], self._shapes[scene_index]
        x, y = col * cols, row * rows
        window = (x, y, min(cols, known.info.width - x), min(rows, known.info.height - y))
        with self._scene_pool.borrow(scene_index) as scene:
            pixels, valid = scene.read_layers(window, known.bands)
        if convert := self._convert[scene_index]:
            pixels = convert(pixels)
        return PixelLayers(
            np.ascontiguousarray(pixels, self.dtype),
            valid.pixels,
            self._rasterize(scene_index, window) if self._rasterize else None,
            valid.bands,
        )

    def __getstate__(self) -> dict[str, Any]:
        not_pickled = {"_lock", "_windows", "_bytes"}
        return {name: value for name, value in self.__dict__.items() if name not in not_pickled}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._clear()


def _copy_overlap(decoded: PixelLayers, offset: tuple[int, int], out: PixelLayers) -> None:
    """Copy the part of a window that lies in a decoded window.

    Args:
        decoded: Decoded window to copy from.
        offset: Upper left corner of the window relative to the decoded window, (x, y) in px.
        out: Layers of the window's shape, to which the part is copied.
    """
    x, y = offset
    rows, cols = decoded.pixels.shape[1:]
    height, width = out.pixels.shape[1:]
    source = slice(max(y, 0), min(y + height, rows)), slice(max(x, 0), min(x + width, cols))
    target = tuple(
        slice(part.start - start, part.stop - start)
        for part, start in zip(source, (y, x), strict=True)
    )
    out.pixels[(slice(None), *target)] = decoded.pixels[(slice(None), *source)]
    if out.valid is not None:
        out.valid[target] = True if decoded.valid is None else decoded.valid[source]
    if out.valid_bands is not None:
        out.valid_bands[(slice(None), *target)] = _band_mask(decoded, source)
    if out.labels is not None and decoded.labels is not None:
        out.labels[target] = decoded.labels[source]


def _band_mask(decoded: PixelLayers, source: tuple[slice, slice]) -> Mask | bool:
    """Return the mask of each band in a part of a window, broadcastable to its pixels."""
    if decoded.valid_bands is not None:
        return decoded.valid_bands[(slice(None), *source)]
    return True if decoded.valid is None else decoded.valid[source]
