"""Open and check scenes, and read them window by window.

A scene is one file (GeoTIFF, JPEG 2000 or NITF), optionally with a mask file next to it
(`x.tif.msk`). Every fault of a scene raises a SceneError that names the file.
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
from swath.raster.dataset import Dataset, open_dataset, pixel_dtype
from swath.raster.gdal_errors import translate_gdal_errors
from swath.raster.interpretation import check_interpretation, colours_of
from swath.raster.scene_info import Box, SceneInfo
from swath.raster.validity import Marks, Valid, can_be, combine, marks_of, shown_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_GCPS = 50_000
"""Largest number of ground control points of a scene, as they are stored in the run's plan."""


@contextmanager
def open_scene(uri: str, *, etag: str | None = None) -> Iterator[OpenScene]:
    """Open a scene for use in the calling thread, and close it on exit.

    Args:
        uri: S3 URI or local path.
        etag: ETag that the scene must have, as `storage.etag` returns it; by default, its current
            ETag.

    Raises:
        SceneError: There is no such file, it is not a raster that swath reads, or its header
            states more than the file can hold.
        SceneChangedError: The object has another ETag.
        TransientError: S3 did not answer.
    """
    mask_uri = f"{uri}.msk"
    with ExitStack() as stack:
        # The mask is looked up here because GDAL would also look up a dozen other sidecar files.
        if storage.is_s3(uri):
            # S3 is asked for the mask while the scene's header is being fetched.
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
    """An open scene, whose pixels and validity can be read."""

    def __init__(self, dataset: Dataset, mask: Dataset | None) -> None:
        self.dataset = dataset
        self.mask = mask
        self.info = _describe(dataset, masked=mask is not None or not dataset.all_valid)
        self._floating = self.info.dtype.startswith("float")
        if mask:
            _check_mask(mask, self.info)

    def read(self, window: Box, bands: Sequence[int]) -> tuple[NDArray[Any], Mask]:
        """Read the pixels of a window, and a mask of the valid pixels.

        Args:
            window: Window (x, y, width, height) in scene px, within the scene.
            bands: Numbers of the bands, from 1, in the order wanted.

        Returns:
            Pixels (bands, rows, cols) in the file's dtype, and a mask (rows, cols), True = valid.
            A pixel is valid where at least one of the bands is valid.

        Raises:
            SceneError: The file is damaged in the window.
            SceneChangedError: The object was replaced since it was opened.
            TransientError: S3 did not answer.
            ValueError: The window does not lie within the scene.
        """
        pixels, valid = self.read_layers(window, bands)
        return pixels, valid.full(pixels.shape[1:])

    def read_layers(self, window: Box, bands: Sequence[int]) -> tuple[NDArray[Any], Valid]:
        """Read the pixels of a window, and their validity band by band.

        A band is invalid where it has its nodata value, NaN or infinity. It is also invalid where
        the mask next to the scene, the mask in it or its alpha band is 0 (see
        `swath.raster.validity`).

        Args:
            window: Window (x, y, width, height) in scene px, within the scene.
            bands: Numbers of the bands, from 1, in the order wanted.

        Returns:
            Pixels (bands, rows, cols) in the file's dtype, and their validity.

        Raises:
            SceneError: The file is damaged in the window.
            SceneChangedError: The object was replaced since it was opened.
            TransientError: S3 did not answer.
            ValueError: The window does not lie within the scene.
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
            shape: Rows and columns of the result.
            bands: Numbers of the bands, from 1.

        Returns:
            Averaged pixels (bands, rows, cols), and a mask of the same shape, True = valid.

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
        """Return the mask of `read` for a window, (rows, cols), True = valid.

        Pixels are read only where the masks, the alpha band and the dtype leave their validity
        open. Arguments and errors are those of `read`.
        """
        self._check(window)
        told = self.has_mask(bands) or not any(v is not None for v in self.nodata_of(bands))
        if self._floating or not told:
            return self.read(window, bands)[1]
        shown = shown_by(self._marks(Window(*window), bands))
        if shown is not None and shown.ndim > 2:  # noqa: PLR2004 (one mask per band)
            shown = np.asarray(shown.any(axis=0))
        return Valid(shown).full((window[3], window[2]))

    def nodata_of(self, bands: Sequence[int]) -> list[float | None]:
        """Return the nodata value of each band; None for no value or one that the dtype lacks."""
        dtype = np.dtype(self.info.dtype)
        values = [self.info.nodata[band - 1] for band in bands]
        return [None if value is None or not can_be(dtype, value) else value for value in values]

    def marks(self, bands: Sequence[int]) -> Marks:
        """Return the masks and the alpha band in the scene's own file that apply to bands."""
        return marks_of(self.dataset.mask_flags, self.info.colours, bands)

    def has_mask(self, bands: Sequence[int]) -> bool:
        """Return whether a mask, next to the scene or in it, applies to bands."""
        marks = self.marks(bands)
        return self.mask is not None or marks.masked is not None or bool(marks.own)

    def mask_bands(self, bands: Sequence[int]) -> list[int]:
        """Return the bands of the mask next to the scene that apply to the scene's bands."""
        return [1] if not self.mask or self.mask.reader.count == 1 else list(bands)

    def _check(self, window: Box) -> None:
        x, y, width, height = window
        scene = self.info
        fits = x >= 0 and y >= 0 and x + width <= scene.width and y + height <= scene.height
        if not fits or width <= 0 or height <= 0:
            size = f"{scene.width} x {scene.height} px"
            raise ValueError(f"the window {window} does not lie within {scene.uri} of {size}")

    def _marks(self, window: Window, bands: Sequence[int]) -> list[NDArray[Any]]:
        """Read the masks and the alpha band of a window, as arguments of `combine`."""
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
        dtype=pixel_dtype(reader),
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
