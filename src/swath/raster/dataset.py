"""Open raster files with GDAL, within limits of size, and report every fault as swath's error."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import Interleaving, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from swath import storage
from swath.errors import SceneError
from swath.raster import gdal_env, gdal_opener
from swath.raster.files.byte_ranges import MIN_HEADER_BYTES, HeaderParts, open_header
from swath.raster.files.checksums import ChecksumVerifier, open_verifier
from swath.raster.files.gdal_files import RemoteSource
from swath.raster.files.header_check import check_header
from swath.raster.gdal_errors import gdal_error, scene_changed, translate_gdal_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from swath._types import Mask

MAX_BLOCK_BYTES = 512 << 20
"""Largest decoded size in bytes of a block, with all bands that are stored in it."""
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""NumPy names of the pixel types that swath reads."""
_OPEN_PROBLEM = "cannot be opened as GeoTIFF, JPEG 2000 or NITF (gdal_translate can make one)"

# `SceneInfo.transform` is None for such a file, so the warning adds nothing. The filter is set for
# the whole process: warning filters are shared by all threads, so a temporary one would leak.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


@dataclass(slots=True, eq=False)
class PinnedDataset:
    """An open file, pinned to one version by its ETag.

    Its methods raise the same errors as `open_dataset`.
    """

    uri: str
    etag: str
    reader: DatasetReader
    mask_flags: Sequence[Sequence[MaskFlags]]
    header_parts: HeaderParts = field(default=(), repr=False)
    """Parts of the file's header that were read already."""
    source: RemoteSource | None = None
    """File that GDAL reads through swath; None if GDAL reads it itself."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Lock of `reader`: several threads may use a GDAL handle, but only one at a time."""
    _stale: bool = False
    """Whether a read failed, after which GDAL's cache may hold invented pixels."""
    _checksums: ChecksumVerifier | None = field(default=None, repr=False)
    _has_no_checksums: bool = False
    """Whether the file is known to have no checksums that can be verified."""

    def read(self, window: Window, bands: Sequence[int]) -> NDArray[Any]:
        """Read the pixels of a window.

        Args:
            window: Window in px.
            bands: Numbers of the bands, from 1, in the order wanted.

        Returns:
            Pixels (bands, rows, cols) of the type that `pixel_dtype` gives.
        """
        with self._reading(f"cannot be read at {_format_window(window)}"):
            self._verify_checksums(window, bands)
            pixels: NDArray[Any] = self.reader.read(
                list(bands), window=window, out_dtype=pixel_dtype(self.reader)
            )
        return pixels

    def read_mask(self, window: Window, band: int) -> Mask:
        """Read GDAL's mask of a band.

        Args:
            window: Window in px.
            band: Number of the band, from 1.

        Returns:
            Mask (rows, cols), True = valid.
        """
        with self._reading(f"has a mask that cannot be read at {_format_window(window)}"):
            self._verify_checksums(window, [band], mask=True)
            mask: Mask = self.reader.read_masks(band, window=window) > 0
        return mask

    def read_tags(self, domain: str | None = None) -> dict[str, str]:
        """Return the metadata of the file in a domain of GDAL; by default, those without one."""
        with self._reading("has metadata that cannot be read"):
            tags: dict[str, str] = self.reader.tags(ns=domain)
        return tags

    def overviews(self) -> list[int]:
        """Return the reduction factors of the overviews of the first band."""
        with self._reading("has overviews that cannot be read"):
            return list(self.reader.overviews(1))

    def read_reduced(
        self, shape: tuple[int, int], bands: Sequence[int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read the whole file at a small size, for display.

        Args:
            shape: Rows and columns of the result, at most those of the file.
            bands: Numbers of the bands, from 1.

        Returns:
            Averaged pixels (bands, rows, cols), and GDAL's mask of each band, in the same shape,
            True = valid.
        """
        with self._reading("cannot be read at a small size"):
            size: dict[str, Any] = {"out_shape": (len(bands), *shape)}
            dtype = pixel_dtype(self.reader)
            mean = self.reader.read(
                list(bands), **size, resampling=Resampling.average, out_dtype=dtype
            )
            return mean, self.reader.read_masks(list(bands), **size) > 0

    @contextmanager
    def _reading(self, problem: str) -> Iterator[None]:
        with translate_gdal_errors(self.uri, self.etag, problem), self._lock:
            if self._stale:
                self._reopen()
            try:
                with _raise_source_errors(self.source), gdal_env.raise_warnings():
                    yield
            except BaseException:
                self._stale = True
                raise

    def _verify_checksums(
        self, window: Window, bands: Sequence[int], *, mask: bool = False
    ) -> None:
        """Raise an error if a block does not match its checksum; GDAL does not verify checksums."""
        if self._checksums is None and not self._has_no_checksums:
            self._checksums = self._open_checksums()
            self._has_no_checksums = self._checksums is None
        if self._checksums and (
            damage := self._checksums.describe_damage(window, bands, mask=mask)
        ):
            raise gdal_env.DamageError(damage)

    def _open_checksums(self) -> ChecksumVerifier | None:
        if self.reader.driver != "GTiff":
            return None
        return open_verifier(self.uri, self.etag, self.header_parts)

    def _reopen(self) -> None:
        """Reopen the file to drop GDAL's cache, which would return a damaged block on a retry."""
        with _raise_source_errors(self.source):
            path = self.source.path if self.source else gdal_env.path(self.uri)
            fresh = DatasetReader(path, driver=[self.reader.driver])
        self.reader.close()
        self.reader, self._stale = fresh, False

    def close(self) -> None:
        """Close the file."""
        if self._checksums:
            self._checksums.close()
        _close(self.reader, self.source)

    @property
    def is_all_valid(self) -> bool:
        """Whether GDAL reports every pixel of every band as valid."""
        return all(MaskFlags.all_valid in flags for flags in self.mask_flags)


@contextmanager
def open_dataset(uri: str, etag: str | None = None) -> Iterator[PinnedDataset]:
    """Open a file, check that its header is plausible, and close the file on exit.

    Args:
        uri: S3 URI, https address or local path.
        etag: ETag that the file must have; by default, its current ETag.

    Raises:
        SceneError: There is no such file, it is empty, or swath cannot read it.
        SceneChangedError: The file has another ETag.
        TransientError: The store did not answer.
    """
    status_and_head = storage.status_and_head(uri, MIN_HEADER_BYTES)
    if status_and_head is None:
        raise SceneError(f"there is no scene at {uri}; check the address")
    status, head = status_and_head
    if etag not in {None, status.etag}:
        raise scene_changed(uri)
    if status.size == 0:
        raise SceneError(f"{uri} is empty (0 bytes); copy it again")
    header_parts = _check_header(uri, status, head)
    with ExitStack() as stack:
        source = None
        if storage.is_https(uri):
            source = RemoteSource(uri, status.etag, status.size, header_parts)
            stack.callback(source.close)
        dataset = stack.enter_context(
            open_with_drivers(
                uri,
                status.etag,
                gdal_env.DRIVERS,
                _OPEN_PROBLEM,
                header_parts=header_parts,
                source=source,
            )
        )
        _check_pixels(uri, dataset.reader)
        _check_size(uri, dataset.reader, status.size)
        yield dataset


@contextmanager
def open_with_drivers(
    uri: str,
    etag: str,
    drivers: Sequence[str],
    problem: str,
    *,
    header_parts: HeaderParts = (),
    source: RemoteSource | None = None,
) -> Iterator[PinnedDataset]:
    """Open a file with GDAL, and close it on exit.

    Every file that swath reads with GDAL is opened here.

    Args:
        uri: S3 URI, https address or local path.
        etag: ETag of the file.
        drivers: Names of the GDAL drivers that may open the file.
        problem: What failed if no driver can open the file, worded to follow its address.
        header_parts: Parts of the file's header that were read already.
        source: File through which GDAL reads; None if GDAL reads the address itself.

    Raises:
        SceneError: GDAL cannot open the file.
        SceneChangedError: The file was replaced since its ETag was read.
        TransientError: The store did not answer.
    """
    with ExitStack() as stack:
        with translate_gdal_errors(uri, etag, problem), _raise_source_errors(source):
            path = source.path if source else gdal_env.path(uri)
            reader = DatasetReader(path, driver=list(drivers))
            stack.callback(_close, reader, source)
            dataset = PinnedDataset(uri, etag, reader, reader.mask_flag_enums, header_parts, source)
            stack.callback(dataset.close)
        yield dataset


def _raise_source_errors(source: RemoteSource | None) -> AbstractContextManager[None]:
    return source.raise_errors() if source else nullcontext()


def _close(reader: DatasetReader, source: RemoteSource | None) -> None:
    with gdal_opener.reachable() if source else nullcontext():
        reader.close()


def _check_header(uri: str, status: storage.ObjectStatus, head: bytes) -> HeaderParts:
    """Refuse a header that is too large, and return the parts of the header that were read."""
    try:
        with open_header(uri, status.etag, ((0, head),) if head else ()) as file:
            check_header(uri, status.size, file.read)
            return file.parts
    except OSError as error:
        raise gdal_error(uri, status.etag, _OPEN_PROBLEM, str(error)) from error


def pixel_dtype(reader: DatasetReader) -> str:
    """Return the name of the NumPy type in which swath reads the pixels of an open file.

    16-bit floating-point pixels are read as float32. GDAL 3.11 introduced float16; earlier releases
    report these pixels as float32.
    """
    return _read_as(reader.dtypes[0])


def _read_as(dtype: str) -> str:
    return "float32" if dtype == "float16" else dtype


def _check_pixels(uri: str, reader: DatasetReader) -> None:
    dtypes = {_read_as(dtype) for dtype in reader.dtypes}
    if not dtypes:
        raise SceneError(f"{uri} has no bands of its own; extract one of its subdatasets")
    if any(dtype.startswith("complex") for dtype in dtypes):
        raise SceneError(
            f"{uri} has complex pixels; convert them to amplitude or intensity first, "
            "for example with gdal_calc.py --calc='abs(A)'"
        )
    if len(dtypes) > 1 or not dtypes.issubset(DTYPES):
        raise SceneError(
            f"{uri} has pixels of type {', '.join(sorted(dtypes))}; swath reads one of "
            f"{', '.join(sorted(DTYPES))} for all bands"
        )


def _check_size(uri: str, reader: DatasetReader, size: int) -> None:
    """Refuse a file with more blocks than bytes, or with blocks above `MAX_BLOCK_BYTES`."""
    rows, cols = reader.block_shapes[0]
    blocks = -(-reader.height // rows) * -(-reader.width // cols)
    bands_per_block = reader.count if reader.interleaving == Interleaving.pixel else 1
    stated = f"{reader.width} x {reader.height} px in {reader.count} bands"
    if blocks * (reader.count // bands_per_block) > size:
        raise SceneError(
            f"{uri} claims {stated}, which its {size} bytes cannot hold; copy it again"
        )
    block = rows * cols * bands_per_block * np.dtype(pixel_dtype(reader)).itemsize
    if block > MAX_BLOCK_BYTES:
        raise SceneError(
            f"{uri} ({stated}) has blocks of {block >> 20} MiB; at most {MAX_BLOCK_BYTES >> 20} "
            "MiB are decoded at once: rewrite it in tiles with gdal_translate -of COG"
        )


def _format_window(window: Window) -> str:
    x, y, width, height = window.flatten()
    return f"x {x}, y {y} ({width} x {height} px)"
