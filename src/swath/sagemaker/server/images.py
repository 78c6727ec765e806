"""Open the images of requests as scenes, so that the same engine reads them tile by tile.

A GeoTIFF is opened directly. Other formats have no separately readable tiles; they are first
converted to a GeoTIFF a few rows at a time, so that a large image is never completely in memory.
The size in an image's header is checked against the limits before any pixel is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import ColorInterp

from swath import storage
from swath.errors import SceneError, SwathError
from swath.raster.dataset import DTYPES, PinnedDataset, open_with_drivers, pixel_dtype
from swath.raster.interpretation import check_image
from swath.raster.scene import open_scene
from swath.raster.write_image import block_row_windows, create_geotiff
from swath.sagemaker.server.errors import TooLargeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.raster.scene import Scene
    from swath.raster.scene_info import SceneInfo
    from swath.sagemaker.server.content_types import ImageFormat

_DRIVERS = {"png": "PNG", "jpeg": "JPEG"}
_NPY_AXES = 3
_MAX_NPY_HEADER_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Image size as the header states it."""

    width: int
    height: int
    bands: int
    dtype: np.dtype[Any]
    block: tuple[int, int]
    """Size of the smallest decodable block, (rows, cols) in px."""
    has_band_names: bool = True
    """True if the format can identify its bands; an NPY file cannot."""

    @property
    def bytes(self) -> int:
        """Size in bytes of all decoded pixels, or of one block if that is larger."""
        rows, cols = self.block
        pixels = max(self.width * self.height, rows * cols)
        return pixels * self.bands * self.dtype.itemsize

    def check(self, max_pixels: int, model_bands: Sequence[str]) -> None:
        """Refuse an image that is too large, or whose unnamed bands do not match the model's.

        Args:
            max_pixels: Maximum number of pixels per band.
            model_bands: Names of the model's bands.

        Raises:
            TooLargeError: The image has too many pixels.
            SceneError: The bands have no names, and their number differs from the model's.
        """
        if not self.has_band_names and self.bands != len(model_bands):
            raise SceneError(
                f"the image has {self.bands} bands without names; the model expects "
                f"{', '.join(model_bands)}"
            )
        if self.width * self.height > max_pixels:
            raise TooLargeError(
                f"the image has {self.width} x {self.height} px; this endpoint takes "
                f"{max_pixels} px at most; cut it, or put it into the stack's bucket of scenes"
            )


ReserveMemory = Callable[[ImageSize], AbstractContextManager[None]]
"""Function that checks an image's size, and returns a context manager that reserves its memory."""


@contextmanager
def open_image(path: Path, kind: ImageFormat, reserve: ReserveMemory) -> Iterator[Scene]:
    """Open an image as a scene; a converted file beside it is deleted afterwards.

    Args:
        path: File with the image's bytes.
        kind: Format of the image.
        reserve: Function called with the header's size before any pixel is decoded; its reservation
            lasts until the image is closed.

    Yields:
        The open scene.

    Raises:
        SceneError: The image cannot be opened or, unless it is a GeoTIFF, decoded.
    """
    with _hide_path(path), ExitStack() as stack:
        if kind == "tiff":
            scene = stack.enter_context(open_scene(str(path)))
            stack.enter_context(reserve(_image_size(scene.info)))
        else:
            converted = path.with_name(f"{path.name}.tif")
            stack.callback(converted.unlink, missing_ok=True)
            write = _write_numpy if kind == "npy" else _write_picture
            write(path, kind, converted, lambda size: stack.enter_context(reserve(size)))
            scene = stack.enter_context(open_scene(str(converted)))
        yield scene


def _image_size(info: SceneInfo) -> ImageSize:
    return ImageSize(info.width, info.height, info.count, np.dtype(info.dtype), info.block_shape)


def _write_numpy(
    source: Path, kind: ImageFormat, target: Path, reserve: Callable[[ImageSize], None]
) -> None:
    del kind
    pixels = _open_numpy(source)
    bands, height, width = pixels.shape
    native = pixels.dtype.newbyteorder("=")
    reserve(ImageSize(width, height, bands, native, (1, width), has_band_names=False))
    with create_geotiff(target, pixels.shape, native) as out:
        for window in block_row_windows(pixels.shape):
            rows = slice(window.row_off, window.row_off + window.height)
            out.write(np.asarray(pixels[:, rows], native), window=window)


def _write_picture(
    source: Path, kind: ImageFormat, target: Path, reserve: Callable[[ImageSize], None]
) -> None:
    with _open_picture(source, kind) as picture:
        reader = picture.reader
        shape, dtype = (reader.count, *reader.shape), np.dtype(pixel_dtype(reader))
        reserve(ImageSize(reader.width, reader.height, reader.count, dtype, (1, reader.width)))
        has_mask = not picture.is_all_valid and ColorInterp.alpha not in reader.colorinterp
        with create_geotiff(target, shape, dtype, reader.colorinterp) as out:
            for window in block_row_windows(shape):
                out.write(picture.read(window, range(1, reader.count + 1)), window=window)
                if has_mask:
                    out.write_mask(picture.read_mask(window, 1), window=window)


def _open_numpy(path: Path) -> NDArray[Any]:
    """Return the memory-mapped array of an NPY file as (bands, rows, cols)."""
    untyped: Any = np.lib.format
    try:
        _check_header_size(path)
        pixels: NDArray[Any] = untyped.open_memmap(path, mode="r")
    except Exception as error:
        # NumPy parses the header with Python's own tokenizer, whose errors share no base class.
        raise SceneError(f"the image is not a readable NPY file: {error}") from error
    if pixels.dtype.newbyteorder("=").name not in DTYPES:
        raise SceneError(
            f"the NPY image has the type {pixels.dtype}; use one of {', '.join(DTYPES)}"
        )
    if pixels.ndim == _NPY_AXES - 1:
        pixels = pixels[None]
    if pixels.ndim != _NPY_AXES or not pixels.size:
        raise SceneError(
            f"the NPY image has the shape {pixels.shape}; it must be (bands, rows, cols)"
        )
    return pixels


def _check_header_size(path: Path) -> None:
    """Refuse an oversized header, which NumPy would read completely before refusing it.

    https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    with path.open("rb") as file:
        start = file.read(len(np.lib.format.MAGIC_PREFIX) + 6)
    major, size = start[-6], start[-4:]
    length = int.from_bytes(size[:2] if major == 1 else size, "little")
    if length > _MAX_NPY_HEADER_BYTES:
        raise ValueError(f"its header has {length} bytes; the maximum is {_MAX_NPY_HEADER_BYTES}")


@contextmanager
def _open_picture(path: Path, kind: ImageFormat) -> Iterator[PinnedDataset]:
    """Open a PNG or JPEG; refuse palettes, fewer than 8 bits, frames and rotation."""
    driver = _DRIVERS[kind]
    etag = storage.etag(str(path)) or ""
    with open_with_drivers(str(path), etag, [driver], f"cannot be opened as {driver}") as picture:
        check_image(picture)
        yield picture


@contextmanager
def _hide_path(path: Path) -> Iterator[None]:
    """Replace the file's path by "the image" in the messages of errors raised in the block."""
    try:
        yield
    except SwathError as error:
        text = str(error).replace(f"{path}.tif", "the image").replace(str(path), "the image")
        raise type(error)(text) from error
