"""Pieces of scenes, decoded once and kept as long as there is room: what crops are cut from."""

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
"""Bytes; a scene of no more is one piece."""
_SIDE = 512
"""px; about how long a piece of a larger scene is."""
_MOST_OPEN = 32
"""Scenes kept open though nobody reads them."""

Paint = Callable[[int, Box], "NDArray[np.uint8]"]
"""The class map of a window of a scene, by its place in the collection."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A window of a scene, decoded."""

    pixels: NDArray[Any]
    """(bands, rows, cols) in the dtype of the collection."""
    valid: Mask | None
    """(rows, cols), True where any band is valid; None where every pixel is."""
    labels: NDArray[np.uint8] | None
    """(rows, cols): each pixel's class, where class maps are wanted."""
    valid_bands: Mask | None = None
    """(bands, rows, cols), True = valid; None where all bands are valid where `valid` says so."""

    @property
    def size(self) -> int:
        """Bytes in memory."""
        parts = (self.pixels, self.valid, self.labels, self.valid_bands)
        return sum(part.nbytes for part in parts if part is not None)


def common_dtype(headers: Sequence[SceneInfo], *, converted: bool) -> np.dtype[Any]:
    """Return the dtype that holds the pixels of all scenes, some of which may be converted."""
    found = np.result_type(*(header.dtype for header in headers))
    return np.result_type(found, np.float32) if converted else found


def piece_shape(scene: SceneInfo, pixel_bytes: int, *, most: int = WHOLE) -> tuple[int, int]:
    """(rows, cols) of the pieces of a scene: all of it, or whole blocks where they are small.

    Args:
        scene: its header.
        pixel_bytes: of all layers that are read of a pixel.
        most: bytes of a scene that is one piece.
    """
    if scene.width * scene.height * pixel_bytes <= most:
        return scene.height, scene.width
    rows, cols = (
        -(-_SIDE // block) * block if block <= 2 * _SIDE else _SIDE for block in scene.block_shape
    )
    return min(rows, scene.height), min(cols, scene.width)


class Handles:
    """Open scenes, each used by one thread at a time and kept open for the next."""

    def __init__(self, uris: Sequence[str]) -> None:
        self._uris = uris
        self._lock = threading.Lock()
        self._idle: list[tuple[int, ExitStack, OpenScene]] = []
        self._inherited: list[tuple[int, ExitStack, OpenScene]] = []
        self._owner = os.getpid()

    @contextmanager
    def borrow(self, place: int) -> Iterator[OpenScene]:
        """A scene by its place in the collection."""
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
                # After a fork they share their connections with the parent's: neither to be used
                # here nor, as dropping them would do, to be closed.
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
        self.__init__(uris)  # type: ignore[misc] # nothing else travels to another process


class Pieces:
    """Scenes of a collection, read window by window by any number of threads."""

    def __init__(
        self,
        headers: Sequence[SceneInfo],
        bands: Sequence[str],
        *,
        units: Units,
        limit: int,
        paint: Paint | None = None,
    ) -> None:
        """Lay the pieces out; nothing is read yet.

        Args:
            headers: of the scenes.
            bands: their names, in the order wanted.
            units: those that the pixels are given in.
            limit: bytes of decoded pieces to keep.
            paint: makes class maps, where they are wanted.

        Raises:
            SceneError: a scene lacks a band, or states a unit that makes no number.
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
        pixel_bytes = len(bands) * self.dtype.itemsize + 2  # with the mask and the class
        most = min(WHOLE, limit // 4)
        self._shapes = [piece_shape(header, pixel_bytes, most=most) for header in headers]
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int, int], Piece] = OrderedDict()
        self._bytes = 0

    def read(self, place: int, window: Box, out: Piece) -> None:
        """Copy a window of a scene.

        Args:
            place: of the scene in the collection.
            window: (x, y, width, height), within the scene.
            out: of the window's shape, written to.
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
    """Copy what a piece has of a window whose upper left corner lies at `offset` in it."""
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
    """What is valid of each band in a part of a piece, to be broadcast to its pixels."""
    if piece.valid_bands is not None:
        return piece.valid_bands[(slice(None), *source)]
    return True if piece.valid is None else piece.valid[source]
