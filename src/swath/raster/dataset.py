"""Raster files: opened by GDAL within limits, every fault told in swath's words."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import Interleaving, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from swath import storage
from swath.errors import SceneError
from swath.raster import gdal_env
from swath.raster.files.byte_ranges import HEAD, HeadParts, opened_file
from swath.raster.files.checksums import Checksums, checksums_of
from swath.raster.files.header_check import check_header
from swath.raster.gdal_errors import gdal_error, scene_changed, translate_gdal_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from swath._types import Mask

MAX_BLOCK_BYTES = 512 << 20
_DTYPES = {"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"}
_PROBLEM = "cannot be opened as GeoTIFF, JPEG 2000 or NITF (gdal_translate can make one)"

# `Scene.transform` tells as much. For the whole process: what is ignored for a moment only is
# ignored, or not, in all other threads too.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


@dataclass(slots=True, eq=False)
class Dataset:
    """One open file, pinned by its ETag. Its methods raise as `open_dataset` does."""

    uri: str
    etag: str
    reader: DatasetReader
    mask_flags: Sequence[Sequence[MaskFlags]]
    known: HeadParts = field(default=(), repr=False)
    """Parts of its header that are here already."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """GDAL lets several threads use a handle, but not at once."""
    _stale: bool = False
    """Whether a read failed: what GDAL kept of it may be pixels that it made up."""
    _checksums: Checksums | None = field(default=None, repr=False)
    _unchecked: bool = False
    """Whether there are no checksums to hold the file to."""

    def read(self, window: Window, bands: Sequence[int]) -> NDArray[Any]:
        """Pixels (bands, rows, cols) of a window."""
        with self._reading(f"cannot be read at {_text(window)}"):
            self._check(window, bands)
            pixels: NDArray[Any] = self.reader.read(list(bands), window=window)
        return pixels

    def read_mask(self, window: Window, band: int) -> Mask:
        """GDAL's mask of a band, (rows, cols), True = valid."""
        with self._reading(f"has a mask that cannot be read at {_text(window)}"):
            self._check(window, [band], mask=True)
            mask: Mask = self.reader.read_masks(band, window=window) > 0
        return mask

    def overviews(self) -> list[int]:
        """Return the factors by which the overviews of the first band are smaller."""
        with self._reading("has overviews that cannot be read"):
            return list(self.reader.overviews(1))

    def read_reduced(
        self, shape: tuple[int, int], bands: Sequence[int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read the whole file at a small size, for display.

        Args:
            shape: Rows and columns to read, at most those of the file.
            bands: Numbers of bands, from 1.

        Returns:
            Mean pixels (bands, rows, cols), and GDAL's mask of each, True = valid.
        """
        with self._reading("cannot be read at a small size"):
            size: dict[str, Any] = {"out_shape": (len(bands), *shape)}
            mean = self.reader.read(list(bands), **size, resampling=Resampling.average)
            return mean, self.reader.read_masks(list(bands), **size) > 0

    @contextmanager
    def _reading(self, problem: str) -> Iterator[None]:
        with translate_gdal_errors(self.uri, self.etag, problem), self._lock:
            if self._stale:
                self._reopen()
            try:
                with gdal_env.warnings_raised():
                    yield
            except BaseException:
                self._stale = True
                raise

    def _check(self, window: Window, bands: Sequence[int], *, mask: bool = False) -> None:
        """Refuse blocks that do not match their checksums, of which GDAL takes no notice."""
        if self._checksums is None and not self._unchecked:
            self._checksums = self._find_checksums()
            self._unchecked = self._checksums is None
        if self._checksums and (damage := self._checksums.damage(window, bands, mask=mask)):
            raise gdal_env.DamageError(damage)

    def _find_checksums(self) -> Checksums | None:
        if self.reader.driver != "GTiff":
            return None
        return checksums_of(self.uri, self.etag, self.known)

    def _reopen(self) -> None:
        """Forget what GDAL has decoded; a damaged block would be given out the second time."""
        fresh = DatasetReader(gdal_env.path(self.uri), driver=[self.reader.driver])
        self.reader.close()
        self.reader, self._stale = fresh, False

    def close(self) -> None:
        """Close the file."""
        if self._checksums:
            self._checksums.close()
        self.reader.close()

    @property
    def all_valid(self) -> bool:
        """Whether nothing in the file marks a pixel as not valid."""
        return all(MaskFlags.all_valid in flags for flags in self.mask_flags)


@contextmanager
def open_dataset(uri: str, etag: str | None = None) -> Iterator[Dataset]:
    """Open a file, check that its header can be true, and close it again.

    Raises:
        SceneError: there is no file, or none that swath reads.
        SceneChangedError: it has another ETag.
        TransientError: S3 did not answer.
    """
    found = storage.status_and_head(uri, HEAD)
    if found is None:
        raise SceneError(f"there is no scene at {uri}; check the address")
    status, head = found
    if etag not in {None, status.etag}:
        raise scene_changed(uri)
    if status.size == 0:
        raise SceneError(f"{uri} is empty (0 bytes); copy it again")
    known = _check_header(uri, status, head)
    with opened(uri, status.etag, gdal_env.DRIVERS, _PROBLEM, known=known) as dataset:
        _check_pixels(uri, dataset.reader)
        _check_size(uri, dataset.reader, status.size)
        yield dataset


@contextmanager
def opened(
    uri: str, etag: str, drivers: Sequence[str], problem: str, *, known: HeadParts = ()
) -> Iterator[Dataset]:
    """Open a file, and close it again. Nothing else in swath has GDAL open one for reading.

    Args:
        uri: an S3 URI or a local path.
        etag: of the file.
        drivers: the formats that it can have.
        problem: what to say of it if it has none of them.
        known: parts of its header that are here already.
    """
    with ExitStack() as stack:
        with translate_gdal_errors(uri, etag, problem):
            reader = DatasetReader(gdal_env.path(uri), driver=list(drivers))
            stack.callback(reader.close)
            dataset = Dataset(uri, etag, reader, reader.mask_flag_enums, known)
            stack.callback(dataset.close)
        yield dataset


def _check_header(uri: str, status: storage.Status, head: bytes) -> HeadParts:
    """Refuse a header that is too large; return the parts of it that were read."""
    try:
        with opened_file(uri, status.etag, ((0, head),) if head else ()) as file:
            check_header(uri, status.size, file.read)
            return file.parts
    except OSError as error:
        raise gdal_error(uri, status.etag, _PROBLEM, str(error)) from error


def _check_pixels(uri: str, reader: DatasetReader) -> None:
    dtypes = set(reader.dtypes)
    if not dtypes:
        raise SceneError(f"{uri} has no bands of its own; extract one of its subdatasets")
    if any(dtype.startswith("complex") for dtype in dtypes):
        raise SceneError(
            f"{uri} has complex pixels; detect them first (amplitude or intensity), "
            "for example with gdal_calc.py --calc='abs(A)'"
        )
    if len(dtypes) > 1 or not dtypes <= _DTYPES:
        raise SceneError(
            f"{uri} has pixels of type {', '.join(sorted(dtypes))}; swath reads one of "
            f"{', '.join(sorted(_DTYPES))} for all bands"
        )


def _check_size(uri: str, reader: DatasetReader, size: int) -> None:
    """Refuse a header that would have us allocate what its file cannot hold."""
    rows, cols = reader.block_shapes[0]
    blocks = -(-reader.height // rows) * -(-reader.width // cols)
    layers = reader.count if reader.interleaving == Interleaving.pixel else 1
    stated = f"{reader.width} x {reader.height} px in {reader.count} bands"
    if blocks * (reader.count // layers) > size:
        raise SceneError(
            f"{uri} claims {stated}, which its {size} bytes cannot hold; copy it again"
        )
    block = rows * cols * layers * np.dtype(reader.dtypes[0]).itemsize
    if block > MAX_BLOCK_BYTES:
        raise SceneError(
            f"{uri} ({stated}) has blocks of {block >> 20} MiB; at most {MAX_BLOCK_BYTES >> 20} "
            "MiB are decoded at once: rewrite it in tiles with gdal_translate -of COG"
        )


def _text(window: Window) -> str:
    x, y, width, height = window.flatten()
    return f"x {x}, y {y} ({width} x {height} px)"
