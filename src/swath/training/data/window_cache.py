"""Cache decoded pieces of scenes, from which crops are cut."""

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
from swath.raster.interpretation import select_bands
from swath.raster.radiometry.units import conversion
from swath.raster.scene import OpenScene, open_scene
from swath.raster.scene_info import Box, SceneInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Mask

WHOLE = 64 << 20
"""Maximum size in bytes of a scene that is a single piece."""
_SIDE = 512
"""Approximate side in px of the pieces of a larger scene."""
_MOST_OPEN = 32
"""Maximum number of idle scenes that are kept open."""

Paint = Callable[[int, Box], "NDArray[np.uint8]"]
"""Function that returns the class map of a window, given the scene's index in the collection."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A decoded window of a scene."""

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
    def size(self) -> int:
        """Size in memory in bytes."""
        parts = (self.pixels, self.valid, self.labels, self.valid_bands)
        return sum(part.nbytes for part in parts if part is not None)


def common_dtype(headers: Sequence[SceneInfo], *, converted: bool) -> np.dtype[Any]:
    """Return the dtype that holds the pixels of all scenes.

    Args:
        headers: Headers of the scenes.
        converted: Whether pixels of any scene are converted to other units, as floats.
    """
    found = np.result_type(*(header.dtype for header in headers))
    return np.result_type(found, np.float32) if converted else found


def piece_shape(scene: SceneInfo, pixel_bytes: int, *, most: int = WHOLE) -> tuple[int, int]:
    """Return the shape (rows, cols) of a scene's pieces in px.

    A piece is the whole scene if the scene is small. Otherwise, along each axis, a piece consists
    of whole blocks if these are at most 1024 px long, and is 512 px long if they are longer.

    Args:
        scene: Header of the scene.
        pixel_bytes: Size in bytes of all layers of a pixel.
        most: Maximum size in bytes of a scene that is a single piece.
    """
    if scene.width * scene.height * pixel_bytes <= most:
        return scene.height, scene.width
    rows, cols = (
        -(-_SIDE // block) * block if block <= 2 * _SIDE else _SIDE for block in scene.block_shape
    )
    return min(rows, scene.height), min(cols, scene.width)


class Handles:
    """A pool of open scenes, each used by one thread at a time and kept open for the next."""

    def __init__(self, uris: Sequence[str]) -> None:
        """Create an empty pool for the scenes of a collection.

        Args:
            uris: Addresses of the scenes, in the order of the collection.
        """
        self._uris = uris
        self._lock = threading.Lock()
        self._idle: list[tuple[int, ExitStack, OpenScene]] = []
        self._inherited: list[tuple[int, ExitStack, OpenScene]] = []
        self._owner = os.getpid()

    @contextmanager
    def borrow(self, place: int) -> Iterator[OpenScene]:
        """Lend an open scene, by its index in the collection, for the duration of the block."""
        stack, scene = self._take(place)
        try:
            yield scene
        except BaseException:
            stack.close()
            raise
        self._give_back(place, stack, scene)

    def _take(self, place: int) -> tuple[ExitStack, OpenScene]:
        with self._lock:
            if self._owner != os.getpid():
                # After a fork, idle scenes share their connections with the parent process. They
                # must be neither used nor closed here; the list keeps them from being collected.
                self._inherited, self._idle = self._inherited + self._idle, []
                self._owner = os.getpid()
            for number, (of, stack, scene) in enumerate(self._idle):
                if of == place:
                    del self._idle[number]
                    return stack, scene
        stack = ExitStack()
        return stack, stack.enter_context(open_scene(self._uris[place]))

    def _give_back(self, place: int, stack: ExitStack, scene: OpenScene) -> None:
        with self._lock:
            self._idle.append((place, stack, scene))
            surplus = self._idle.pop(0)[1] if len(self._idle) > _MOST_OPEN else None
        if surplus:
            surplus.close()

    def __getstate__(self) -> Sequence[str]:
        return self._uris

    def __setstate__(self, uris: Sequence[str]) -> None:
        self.__init__(uris)  # type: ignore[misc] # only the addresses are pickled


class Pieces:
    """A cache of decoded pieces of a collection's scenes, for any number of threads."""

    def __init__(
        self,
        headers: Sequence[SceneInfo],
        bands: Sequence[str],
        *,
        units: Units,
        limit: int,
        paint: Paint | None = None,
    ) -> None:
        """Determine the shapes of the pieces; nothing is read yet.

        Args:
            headers: Headers of the scenes.
            bands: Names of the bands, in the order of the pixels' first axis.
            units: Unit of each band's pixels in the result.
            limit: Size of the cache in bytes.
            paint: Function that returns class maps; None for pieces without class maps.

        Raises:
            SceneError: A scene lacks a band, or has a unit that cannot be converted.
        """
        self.headers = tuple(headers)
        self._bands = [select_bands(header, bands) for header in headers]
        self._convert = [
            conversion(header, numbers, bands, units)
            for header, numbers in zip(headers, self._bands, strict=True)
        ]
        self.dtype = common_dtype(headers, converted=any(self._convert))
        self._handles = Handles([header.uri for header in headers])
        self._limit, self._paint = limit, paint
        pixel_bytes = len(bands) * self.dtype.itemsize + 2  # includes the mask and the class map
        most = min(WHOLE, limit // 4)
        self._shapes = [piece_shape(header, pixel_bytes, most=most) for header in headers]
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int, int], Piece] = OrderedDict()
        self._bytes = 0

    def read(self, place: int, window: Box, out: Piece) -> None:
        """Copy a window of a scene into a piece.

        Args:
            place: Index of the scene in the collection.
            window: Window within the scene, (x, y, width, height) in px.
            out: Piece of the window's shape, to which the window is copied.
        """
        x, y, width, height = window
        rows, cols = self._shapes[place]
        for row in range(y // rows, (y + height - 1) // rows + 1):
            for col in range(x // cols, (x + width - 1) // cols + 1):
                piece = self._piece((place, row, col))
                _copy(piece, (x - col * cols, y - row * rows), out)

    def _piece(self, key: tuple[int, int, int]) -> Piece:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        piece = self._decode(*key)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = piece
                self._bytes += piece.size
            while self._bytes > self._limit and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].size
        return piece

    def _decode(self, place: int, row: int, col: int) -> Piece:
        scene, (rows, cols) = self.headers[place], self._shapes[place]
        x, y = col * cols, row * rows
        window = (x, y, min(cols, scene.width - x), min(rows, scene.height - y))
        with self._handles.borrow(place) as handle:
            pixels, valid = handle.read_layers(window, self._bands[place])
        if convert := self._convert[place]:
            pixels = convert(pixels)
        return Piece(
            np.ascontiguousarray(pixels, self.dtype),
            valid.pixels,
            self._paint(place, window) if self._paint else None,
            valid.bands,
        )

    def __getstate__(self) -> dict[str, Any]:
        kept = {"_lock", "_kept", "_bytes"}
        return {name: value for name, value in self.__dict__.items() if name not in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


def _copy(piece: Piece, offset: tuple[int, int], out: Piece) -> None:
    """Copy the part of a window that lies in a piece.

    Args:
        piece: Piece to copy from.
        offset: Upper left corner of the window relative to the piece, (x, y) in px.
        out: Piece of the window's shape, to which the part is copied.
    """
    x, y = offset
    rows, cols = piece.pixels.shape[1:]
    height, width = out.pixels.shape[1:]
    source = slice(max(y, 0), min(y + height, rows)), slice(max(x, 0), min(x + width, cols))
    target = tuple(
        slice(part.start - start, part.stop - start)
        for part, start in zip(source, (y, x), strict=True)
    )
    out.pixels[(slice(None), *target)] = piece.pixels[(slice(None), *source)]
    if out.valid is not None:
        out.valid[target] = True if piece.valid is None else piece.valid[source]
    if out.valid_bands is not None:
        out.valid_bands[(slice(None), *target)] = _bands_of(piece, source)
    if out.labels is not None and piece.labels is not None:
        out.labels[target] = piece.labels[source]


def _bands_of(piece: Piece, source: tuple[slice, slice]) -> Mask | bool:
    """Return the mask of each band in a part of a piece, broadcastable to its pixels."""
    if piece.valid_bands is not None:
        return piece.valid_bands[(slice(None), *source)]
    return True if piece.valid is None else piece.valid[source]
