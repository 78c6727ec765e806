"""Scenes: opened, checked, and read window by window.

A scene is one file (GeoTIFF, JPEG 2000 or NITF), with at most a mask beside it (`x.tif.msk`). What
is wrong with one ends in a SceneError that names the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.windows import Window

from swath import storage
from swath._types import Mask
from swath.errors import SceneError
from swath.raster.band_units import stated_unit
from swath.raster.dataset import Dataset, open_dataset
from swath.raster.gdal_errors import translate_gdal_errors
from swath.raster.interpretation import check_interpretation, colours_of
from swath.raster.scene_info import Box, SceneInfo
from swath.raster.validity import Marks, Valid, can_be, combine, marks_of, shown_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_GCPS = 50_000
"""Ground control points of a scene: they travel with its plan."""


@contextmanager
def open_scene(uri: str, *, etag: str | None = None) -> Iterator[OpenScene]:
    """Open a scene for the thread that calls.

    Args:
        uri: an S3 URI or a local path.
        etag: what `storage.etag` must say of it; by default, what it says now.

    Raises:
        SceneError: there is no such file, it is not a raster that swath reads, or its header says
            what the file cannot hold.
        SceneChangedError: the object there has another ETag.
        TransientError: S3 did not answer.
    """
    mask_uri = f"{uri}.msk"
    with ExitStack() as stack:
        # GDAL itself would look for a mask and for a dozen other files beside the scene.
        if storage.is_s3(uri):
            # It is asked for the one while the other's header is on its way.
            with ThreadPoolExecutor(1) as aside:
                asked = aside.submit(storage.exists, mask_uri)
                dataset = stack.enter_context(open_dataset(uri, etag))
            masked = asked.result()
        else:
            dataset = stack.enter_context(open_dataset(uri, etag))
            masked = storage.exists(mask_uri)
        mask = stack.enter_context(open_dataset(mask_uri)) if masked else None
        yield OpenScene(dataset, mask)


class OpenScene:
    """A scene that can be read."""

    def __init__(self, dataset: Dataset, mask: Dataset | None) -> None:
        self.dataset = dataset
        self.mask = mask
        self.info = _describe(dataset, masked=mask is not None or not dataset.all_valid)
        self._floating = self.info.dtype.startswith("float")
        if mask:
            _check_mask(mask, self.info)

    def read(self, window: Box, bands: Sequence[int]) -> tuple[NDArray[Any], Mask]:
        """Pixels of a window, and which of them are valid.

        Args:
            window: (x, y, width, height) in scene px, within the scene.
            bands: numbers of bands, from 1, in the order wanted.

        Returns:
            Pixels (bands, rows, cols) in the file's dtype, and (rows, cols) bool, True = valid. A
            pixel is valid where any of the bands is.

        Raises:
            SceneError: the file is damaged there.
            SceneChangedError: the object was replaced since it was opened.
            TransientError: S3 did not answer.
        """
        pixels, valid = self.read_layers(window, bands)
        return pixels, valid.full(pixels.shape[1:])

    def read_layers(self, window: Box, bands: Sequence[int]) -> tuple[NDArray[Any], Valid]:
        """Pixels of a window, and which of them are valid, band by band.

        A band is invalid where it has its nodata value, NaN or infinity, and where the mask beside
        the scene, the mask in it or its alpha band says so (`swath.raster.validity`). Arguments and
        errors: see `read`.
        """
        self._check(window)
        place = Window(*window)
        pixels = self.dataset.read(place, bands)
        masked = self.has_mask(bands)
        marks, nodata = self._marks(place, bands), self.nodata_of(bands)
        return pixels, combine(pixels, marks, nodata, masked=masked)

    def read_reduced(
        self, shape: tuple[int, int], bands: Sequence[int]
    ) -> tuple[NDArray[Any], Mask]:
        """Read the whole scene at a small size, for display.

        Args:
            shape: Rows and columns to read.
            bands: Numbers of bands, from 1.

        Returns:
            Mean pixels (bands, rows, cols), and which of them are valid, shaped like them.

        Raises:
            SceneError: The file is damaged.
            SceneChangedError: The object was replaced since it was opened.
            TransientError: S3 did not answer.
        """
        pixels, valid = self.dataset.read_reduced(shape, bands)
        if self.mask:
            valid &= self.mask.read_reduced(shape, self.mask_bands(bands))[0] > 0
        return pixels, valid

    def valid(self, window: Box, bands: Sequence[int]) -> Mask:
        """Which pixels of a window are valid, as `read` says; reads marks alone if they tell."""
        self._check(window)
        told = self.has_mask(bands) or not any(v is not None for v in self.nodata_of(bands))
        if self._floating or not told:
            return self.read(window, bands)[1]
        shown = shown_by(self._marks(Window(*window), bands))
        if shown is not None and shown.ndim > 2:  # noqa: PLR2004 (a mask a band)
            shown = np.asarray(shown.any(axis=0))
        return Valid(shown).full((window[3], window[2]))

    def nodata_of(self, bands: Sequence[int]) -> list[float | None]:
        """The nodata value of each band; None where it has none that its pixels can have."""
        dtype = np.dtype(self.info.dtype)
        values = [self.info.nodata[band - 1] for band in bands]
        return [None if value is None or not can_be(dtype, value) else value for value in values]

    def marks(self, bands: Sequence[int]) -> Marks:
        """What in the scene's own file marks pixels of bands, beside their numbers."""
        return marks_of(self.dataset.mask_flags, self.info.colours, bands)

    def has_mask(self, bands: Sequence[int]) -> bool:
        """Whether there is a mask, beside the scene or in it, that speaks of bands."""
        marks = self.marks(bands)
        return self.mask is not None or marks.masked is not None or bool(marks.own)

    def mask_bands(self, bands: Sequence[int]) -> list[int]:
        """The bands of the mask beside the scene that speak of the scene's bands."""
        return [1] if not self.mask or self.mask.reader.count == 1 else list(bands)

    def _check(self, window: Box) -> None:
        x, y, width, height = window
        scene = self.info
        fits = x >= 0 and y >= 0 and x + width <= scene.width and y + height <= scene.height
        if not fits or width <= 0 or height <= 0:
            size = f"{scene.width} x {scene.height} px"
            raise ValueError(f"the window {window} does not lie within {scene.uri} of {size}")

    def _marks(self, window: Window, bands: Sequence[int]) -> list[NDArray[Any]]:
        """Each mark as `combine` takes them."""
        marks, found = self.marks(bands), []
        if self.mask:
            beside = self.mask.read(window, self.mask_bands(bands))
            found.append(beside if len(beside) > 1 else beside[0])
        if marks.alpha is not None:
            found.append(self.dataset.read(window, [marks.alpha])[0])
        if marks.own:
            found.append(np.stack([self.dataset.read_mask(window, band) for band in marks.own]))
        elif marks.masked is not None:
            found.append(self.dataset.read_mask(window, marks.masked))
        return found


def _check_mask(mask: Dataset, scene: SceneInfo) -> None:
    rows, cols = mask.reader.shape
    if (rows, cols) != (scene.height, scene.width):
        raise SceneError(
            f"{mask.uri} has {cols} x {rows} px and its scene "
            f"{scene.width} x {scene.height}; remove it or make it anew"
        )
    if mask.reader.count not in {1, scene.count}:
        raise SceneError(
            f"{mask.uri} has {mask.reader.count} bands and its scene {scene.count}; "
            "make a mask of one band, or of one for each of the scene's"
        )


def _describe(dataset: Dataset, *, masked: bool) -> SceneInfo:
    with translate_gdal_errors(dataset.uri, dataset.etag, "has a header that cannot be understood"):
        check_interpretation(dataset)
        return _read_header(dataset, masked=masked)


def _read_header(dataset: Dataset, *, masked: bool) -> SceneInfo:
    reader = dataset.reader
    gcps, gcps_crs = reader.gcps
    if len(gcps) > MAX_GCPS:
        raise SceneError(
            f"{dataset.uri} has {len(gcps)} ground control points; swath uses {MAX_GCPS} at most: "
            "warp it with them, gdalwarp -tps in.tif out.tif, or keep a part of them"
        )
    placed = not reader.transform.is_identity
    colours = colours_of(dataset)
    return SceneInfo(
        uri=dataset.uri,
        width=reader.width,
        height=reader.height,
        count=reader.count,
        dtype=reader.dtypes[0],
        band_names=tuple(reader.descriptions),
        colours=colours,
        nodata=tuple(reader.nodatavals),
        masked=masked or "alpha" in colours,
        crs=reader.crs if placed else gcps_crs or reader.crs,
        transform=reader.transform if placed else None,
        gcps=() if placed else tuple(gcps),
        rpcs=reader.rpcs is not None,
        block_shape=reader.block_shapes[0],
        units=tuple(
            stated_unit(*band)
            for band in zip(reader.units, reader.scales, reader.offsets, strict=True)
        ),
    )
