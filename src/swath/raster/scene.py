"""Open and check scenes, and read them window by window.

A scene is one file (GeoTIFF, JPEG 2000 or NITF), optionally with a mask file next to it
(`x.tif.msk`), or several files on one pixel grid (`swath.raster.assets`). Every fault of a scene
raises a SceneError that names the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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
from swath.raster.dataset import PinnedDataset, open_dataset, pixel_dtype
from swath.raster.gdal_errors import translate_gdal_errors
from swath.raster.interpretation import check_interpretation, color_interpretations
from swath.raster.scene_info import PixelWindow, SceneInfo
from swath.raster.validity import (
    MaskSources,
    Validity,
    can_hold,
    combine,
    combine_masks,
    select_mask_sources,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_GCPS = 50_000
"""Largest number of ground control points of a scene; the run's plan stores all of them."""


@contextmanager
def open_scene(uri: str, *, etag: str | None = None) -> Iterator[FileScene]:
    """Open a scene for use in the calling thread, and close it on exit.

    Args:
        uri: S3 URI, https address or local path.
        etag: ETag that the scene must have, as `storage.etag` returns it; by default, its current
            ETag.

    Raises:
        SceneError: There is no such file, it is not a raster that swath reads, or its header
            states more pixels than the file can hold.
        SceneChangedError: The object has another ETag.
        TransientError: The store did not answer.
    """
    mask_uri = storage.with_suffix(uri, ".msk")
    with ExitStack() as stack:
        # The mask is looked up here because GDAL would also look up a dozen other sidecar files.
        if storage.is_remote(uri):
            # The store answers whether the mask exists while the scene's header is being fetched.
            with ThreadPoolExecutor(1) as executor:
                mask_exists = executor.submit(storage.is_readable, mask_uri)
                dataset = stack.enter_context(open_dataset(uri, etag))
            masked = mask_exists.result()
        else:
            dataset = stack.enter_context(open_dataset(uri, etag))
            masked = storage.exists(mask_uri)
        mask = stack.enter_context(open_dataset(mask_uri)) if masked else None
        yield FileScene(dataset, mask)


class Scene(ABC):
    """An open scene, whose pixels and validity can be read."""

    info: SceneInfo

    @property
    @abstractmethod
    def etag(self) -> str:
        """ETag of the scene's file; for several files, a digest of their ETags."""

    @property
    @abstractmethod
    def files(self) -> Sequence[PinnedDataset]:
        """Open files of the scene, masks next to them included."""

    def read(self, window: PixelWindow, bands: Sequence[int]) -> tuple[NDArray[Any], Mask]:
        """Read the pixels of a window, and a mask of the valid pixels.

        Args:
            window: Window (x, y, width, height) in scene px, within the scene.
            bands: Numbers of the bands, from 1, in the order wanted.

        Returns:
            Pixels (bands, rows, cols) in the scene's dtype, and a mask (rows, cols), True = valid.
            A pixel is valid where at least one of the bands is valid.

        Raises:
            SceneError: The file is damaged in the window.
            SceneChangedError: The object was replaced since it was opened.
            TransientError: The store did not answer.
            ValueError: The window does not lie within the scene.
        """
        pixels, valid = self.read_layers(window, bands)
        return pixels, valid.pixel_mask(pixels.shape[1:])

    @abstractmethod
    def read_layers(
        self, window: PixelWindow, bands: Sequence[int]
    ) -> tuple[NDArray[Any], Validity]:
        """Read the pixels of a window, and their validity band by band.

        A band is invalid where it has its nodata value, NaN or infinity. It is also invalid where
        the mask next to the file, the mask in it or its alpha band is 0 (see
        `swath.raster.validity`).

        Args:
            window: Window (x, y, width, height) in scene px, within the scene.
            bands: Numbers of the bands, from 1, in the order wanted.

        Returns:
            Pixels (bands, rows, cols) in the scene's dtype, and their validity.

        Raises:
            SceneError: The file is damaged in the window.
            SceneChangedError: The object was replaced since it was opened.
            TransientError: The store did not answer.
            ValueError: The window does not lie within the scene.
        """

    @abstractmethod
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
            TransientError: The store did not answer.
        """

    @abstractmethod
    def read_valid(self, window: PixelWindow, bands: Sequence[int]) -> Mask:
        """Return the mask of `read` for a window, (rows, cols), True = valid.

        Pixels are read only if the masks, the alpha band and the dtype do not decide their
        validity. Arguments and errors are those of `read`.
        """

    def check_window(self, window: PixelWindow) -> None:
        """Refuse a window that does not lie within the scene.

        Args:
            window: Window (x, y, width, height) in scene px.

        Raises:
            ValueError: The window does not lie within the scene, or is empty.
        """
        x, y, width, height = window
        scene = self.info
        fits = x >= 0 and y >= 0 and x + width <= scene.width and y + height <= scene.height
        if not fits or width <= 0 or height <= 0:
            size = f"{scene.width} x {scene.height} px"
            raise ValueError(f"the window {window} does not lie within {scene.uri} of {size}")


class FileScene(Scene):
    """An open scene of one file, optionally with a mask file next to it."""

    def __init__(self, dataset: PinnedDataset, mask: PinnedDataset | None) -> None:
        self.dataset = dataset
        self.mask = mask
        self.info = _read_scene_info(dataset, masked=mask is not None or not dataset.is_all_valid)
        self._floating = self.info.dtype.startswith("float")
        if mask:
            _check_mask(mask, self.info)

    @property
    def etag(self) -> str:
        """ETag of the scene's file."""
        return self.dataset.etag

    @property
    def files(self) -> Sequence[PinnedDataset]:
        """The scene's file, and the mask next to it."""
        return [self.dataset, *([self.mask] if self.mask else [])]

    def read_layers(
        self, window: PixelWindow, bands: Sequence[int]
    ) -> tuple[NDArray[Any], Validity]:
        """Read the pixels of a window, and their validity; see `Scene.read_layers`."""
        self.check_window(window)
        pixel_window = Window(*window)
        pixels = self.dataset.read(pixel_window, bands)
        masked = self.has_mask(bands)
        masks, nodata = self._read_masks(pixel_window, bands), self.nodata_values(bands)
        return pixels, combine(pixels, masks, nodata, masked=masked)

    def read_reduced(
        self, shape: tuple[int, int], bands: Sequence[int]
    ) -> tuple[NDArray[Any], Mask]:
        """Read the whole scene at a small size, for display; see `Scene.read_reduced`."""
        pixels, valid = self.dataset.read_reduced(shape, bands)
        if self.mask:
            valid &= self.mask.read_reduced(shape, self.mask_bands(bands))[0] > 0
        return pixels, valid

    def read_valid(self, window: PixelWindow, bands: Sequence[int]) -> Mask:
        """Return the mask of `read` for a window; see `Scene.read_valid`."""
        self.check_window(window)
        masks_suffice = self.has_mask(bands) or not any(
            v is not None for v in self.nodata_values(bands)
        )
        if self._floating or not masks_suffice:
            return self.read(window, bands)[1]
        valid = combine_masks(self._read_masks(Window(*window), bands))
        if valid is not None and valid.ndim > 2:  # noqa: PLR2004 (one mask per band)
            valid = np.asarray(valid.any(axis=0))
        return Validity(valid).pixel_mask((window[3], window[2]))

    def nodata_values(self, bands: Sequence[int]) -> list[float | None]:
        """Return the nodata value of each band; None if there is none that the dtype can hold."""
        dtype = np.dtype(self.info.dtype)
        values = [self.info.nodata[band - 1] for band in bands]
        return [None if value is None or not can_hold(dtype, value) else value for value in values]

    def mask_sources(self, bands: Sequence[int]) -> MaskSources:
        """Return the masks and the alpha band in the scene's own file that apply to bands."""
        return select_mask_sources(self.dataset.mask_flags, self.info.colors, bands)

    def has_mask(self, bands: Sequence[int]) -> bool:
        """Return whether a mask, next to the scene or in it, applies to bands."""
        sources = self.mask_sources(bands)
        return self.mask is not None or sources.shared is not None or bool(sources.per_band)

    def mask_bands(self, bands: Sequence[int]) -> list[int]:
        """Return the bands of the mask next to the scene that apply to the scene's bands."""
        return [1] if not self.mask or self.mask.reader.count == 1 else list(bands)

    def _read_masks(self, window: Window, bands: Sequence[int]) -> list[NDArray[Any]]:
        """Read the masks and the alpha band of a window, as arguments of `combine`."""
        sources, masks = self.mask_sources(bands), []
        if self.mask:
            mask_layers = self.mask.read(window, self.mask_bands(bands))
            masks.append(mask_layers if len(mask_layers) > 1 else mask_layers[0])
        if sources.alpha is not None:
            masks.append(self.dataset.read(window, [sources.alpha])[0])
        if sources.per_band:
            masks.append(
                np.stack([self.dataset.read_mask(window, band) for band in sources.per_band])
            )
        elif sources.shared is not None:
            masks.append(self.dataset.read_mask(window, sources.shared))
        return masks


def _check_mask(mask: PinnedDataset, scene: SceneInfo) -> None:
    rows, cols = mask.reader.shape
    if (rows, cols) != (scene.height, scene.width):
        raise SceneError(
            f"{mask.uri} has {cols} x {rows} px and its scene "
            f"{scene.width} x {scene.height}; remove it, or create it again"
        )
    if mask.reader.count not in {1, scene.count}:
        raise SceneError(
            f"{mask.uri} has {mask.reader.count} bands and its scene {scene.count}; "
            "create a mask with one band, or with one for each band of the scene"
        )


def _read_scene_info(dataset: PinnedDataset, *, masked: bool) -> SceneInfo:
    with translate_gdal_errors(dataset.uri, dataset.etag, "has a header that GDAL cannot parse"):
        check_interpretation(dataset)
        return _read_header(dataset, masked=masked)


def _read_header(dataset: PinnedDataset, *, masked: bool) -> SceneInfo:
    reader = dataset.reader
    gcps, gcps_crs = reader.gcps
    if len(gcps) > MAX_GCPS:
        raise SceneError(
            f"{dataset.uri} has {len(gcps)} ground control points; swath uses {MAX_GCPS} at most: "
            "warp it with gdalwarp -tps in.tif out.tif, or remove some of the points"
        )
    is_georeferenced = not reader.transform.is_identity
    colors = color_interpretations(dataset)
    return SceneInfo(
        uri=dataset.uri,
        width=reader.width,
        height=reader.height,
        count=reader.count,
        dtype=pixel_dtype(reader),
        band_names=tuple(reader.descriptions),
        colors=colors,
        nodata=tuple(reader.nodatavals),
        masked=masked or "alpha" in colors,
        crs=reader.crs if is_georeferenced else gcps_crs or reader.crs,
        transform=reader.transform if is_georeferenced else None,
        gcps=() if is_georeferenced else tuple(gcps),
        rpcs=reader.rpcs is not None,
        block_shape=reader.block_shapes[0],
        units=tuple(
            stated_unit(*band)
            for band in zip(reader.units, reader.scales, reader.offsets, strict=True)
        ),
    )
