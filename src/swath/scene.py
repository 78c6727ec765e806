"""Scenes: opened, checked, and read window by window.

A scene is one file (GeoTIFF, JPEG 2000 or NITF), with at most a mask beside it (`x.tif.msk`). What
is wrong with one ends in a SceneError that names the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from swath import storage
from swath.dataset import Dataset, Mask, explained, open_dataset
from swath.errors import SceneError
from swath.payloads import Georeference
from swath.radiometry.units import Units, stated_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What a header says of an image's size and of its place on Earth."""

    uri: str
    width: int
    height: int
    crs: CRS | None
    """Of `transform`, or of `gcps` where there is none."""
    transform: Affine | None
    """Pixel to CRS; None where the file has none."""
    gcps: tuple[GroundControlPoint, ...]
    rpcs: bool
    """Whether there are rational polynomial coefficients, which swath does not use."""

    @property
    def georeference(self) -> Georeference:
        """The place on Earth, in a form that travels as JSON."""
        points = [(gcp.col, gcp.row, gcp.x, gcp.y, gcp.z) for gcp in self.gcps]
        return Georeference(
            crs=self.crs.to_wkt() if self.crs else "",
            transform=self.transform[:6] if self.transform else None,
            gcps=[(*point, z if z is not None and isfinite(z) else 0.0) for *point, z in points],
        )

    @classmethod
    def by(cls, georeference: Georeference, *, uri: str, width: int, height: int) -> Placed:
        """Restore what `georeference` was taken from, less the coefficients."""
        found = georeference.transform
        return cls(
            uri=uri,
            width=width,
            height=height,
            crs=CRS.from_wkt(georeference.crs) if georeference.crs else None,
            transform=Affine(*found) if found else None,
            gcps=tuple(
                GroundControlPoint(col=column, row=row, x=x, y=y, z=z)
                for column, row, x, y, z in georeference.gcps
            ),
            rpcs=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene(Placed):
    """What a scene's header says."""

    count: int
    dtype: str
    band_names: tuple[str | None, ...]
    """The bands' descriptions."""
    colours: tuple[str | None, ...]
    """The bands' colour interpretations: `red`, `alpha` …; None for grey and undefined."""
    nodata: tuple[float | None, ...]
    masked: bool
    """Whether a nodata value, a mask or an alpha band can mark pixels as not valid."""
    block_shape: tuple[int, int]
    """(rows, cols) of what is decoded at once."""
    units: Units
    """What the header states of each band's unit."""


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
        if mask and mask.reader.shape != (self.info.height, self.info.width):
            rows, cols = mask.reader.shape
            raise SceneError(
                f"{mask.uri} has {cols} x {rows} px and its scene "
                f"{self.info.width} x {self.info.height}; remove it or make it anew"
            )

    def read(self, window: Box, bands: Sequence[int]) -> tuple[NDArray[Any], Mask]:
        """Pixels of a window, and which of them are valid.

        Args:
            window: (x, y, width, height) in scene px, within the scene.
            bands: numbers of bands, from 1, in the order wanted.

        Returns:
            Pixels (bands, rows, cols) in the file's dtype, and (rows, cols) bool, True = valid. A
            pixel is valid where any of the bands is. Of a band, the mask beside the scene decides,
            or else its nodata value, the scene's mask or its alpha band; NaN and infinity are not.

        Raises:
            SceneError: the file is damaged there.
            SceneChangedError: the object was replaced since it was opened.
            TransientError: S3 did not answer.
        """
        self._check(window)
        place = Window(*window)
        pixels = self.dataset.read(place, bands)
        shared = self._shared_mask(place, bands)
        valid = np.zeros(pixels.shape[1:], np.bool_)
        for band, layer in zip(bands, pixels, strict=True):
            own = self._own_mask(place, band, layer) if shared is None else shared
            valid |= own & np.isfinite(layer) if self._floating else own
        return pixels, valid

    def valid(self, window: Box, bands: Sequence[int]) -> Mask:
        """Which pixels of a window are valid, as `read` says; reads a mask alone if that tells."""
        self._check(window)
        if not self._floating:
            if not self.info.masked:
                return np.ones((window[3], window[2]), np.bool_)
            if (shared := self._shared_mask(Window(*window), bands)) is not None:
                return shared
        return self.read(window, bands)[1]

    def _check(self, window: Box) -> None:
        x, y, width, height = window
        scene = self.info
        fits = x >= 0 and y >= 0 and x + width <= scene.width and y + height <= scene.height
        if not fits or width <= 0 or height <= 0:
            size = f"{scene.width} x {scene.height} px"
            raise ValueError(f"the window {window} does not lie within {scene.uri} of {size}")

    def _shared_mask(self, window: Window, bands: Sequence[int]) -> Mask | None:
        """The mask of all bands together, if that is what the scene has."""
        if self.mask:
            return np.asarray(self.mask.read(window, [1])[0] > 0)
        for band in bands:
            if MaskFlags.per_dataset in self.dataset.mask_flags[band - 1]:
                return self.dataset.read_mask(window, band)
        return None

    def _own_mask(self, window: Window, band: int, layer: NDArray[Any]) -> Mask:
        """The mask of one band, whose pixels are `layer`."""
        flags = self.dataset.mask_flags[band - 1]
        if MaskFlags.all_valid in flags:
            return np.ones(layer.shape, np.bool_)
        nodata = self.info.nodata[band - 1]
        if MaskFlags.nodata in flags and nodata is not None:
            return ~is_nodata(layer, nodata)
        return self.dataset.read_mask(window, band)


def select_bands(scene: Scene, wanted: Sequence[str]) -> list[int]:
    """The numbers, from 1, of the bands that a model wants, in its order.

    Bands are found by description, by colour, or, where the scene describes none, by position if
    it has as many as are wanted (an alpha band is not counted).

    Raises:
        SceneError: they cannot be told; the message says what the scene has and what is wanted.
    """
    for names in (scene.band_names, scene.colours):
        known = [name.casefold() if name else None for name in names]
        if all(known.count(name.casefold()) == 1 for name in wanted):
            return [known.index(name.casefold()) + 1 for name in wanted]
    image = [number for number, colour in enumerate(scene.colours, 1) if colour != "alpha"]
    if not any(scene.band_names) and len(image) == len(wanted):
        return image
    if any(scene.band_names):
        has = "the bands " + ", ".join(name or "(unnamed)" for name in scene.band_names)
    else:
        has = f"{len(image)} bands without names"
    raise SceneError(
        f"{scene.uri} has {has}; the model wants {', '.join(wanted)}. "
        "Name the scene's bands after the model's (gdal_edit.py can), or give it just those bands"
    )


def _describe(dataset: Dataset, *, masked: bool) -> Scene:
    with explained(dataset.uri, dataset.etag, "has a header that cannot be understood"):
        return _read_header(dataset.uri, dataset.reader, masked=masked)


def _read_header(uri: str, reader: DatasetReader, *, masked: bool) -> Scene:
    gcps, gcps_crs = reader.gcps
    placed = not reader.transform.is_identity
    return Scene(
        uri=uri,
        width=reader.width,
        height=reader.height,
        count=reader.count,
        dtype=reader.dtypes[0],
        band_names=tuple(reader.descriptions),
        colours=_colours(reader),
        nodata=tuple(reader.nodatavals),
        masked=masked,
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


def _colours(reader: DatasetReader) -> tuple[str | None, ...]:
    try:
        names = [str(colour.name) for colour in reader.colorinterp]
    except CPLE_BaseError:  # this one property fails on tags that GDAL otherwise passes over
        return tuple(None for _ in reader.indexes)
    return tuple(None if name in {"gray", "undefined"} else name for name in names)


def is_nodata(pixels: NDArray[Any], nodata: float) -> Mask:
    """Which pixels have the nodata value, as near as their type and its decimals can tell."""
    if pixels.dtype.kind in "iu":
        limits = np.iinfo(pixels.dtype)
        if not (limits.min <= nodata <= limits.max and float(nodata).is_integer()):
            return np.zeros(pixels.shape, np.bool_)
        return np.asarray(pixels == int(nodata))
    if np.isnan(nodata):
        return np.asarray(np.isnan(pixels))
    real = np.finfo(pixels.dtype)
    # A nodata value is written in decimals, which may not give back the very same float.
    tolerance = 4 * float(real.eps) * abs(nodata)
    if tolerance == 0 or abs(nodata) > float(real.max) + tolerance:
        return np.asarray(pixels == nodata)
    low = max(nodata - tolerance, float(real.min))
    high = min(nodata + tolerance, float(real.max))
    return np.asarray((pixels >= low) & (pixels <= high))
