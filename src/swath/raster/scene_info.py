"""Hold the header of a scene as values: size, location on Earth, bands, colors and units."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from swath.messages import Georeference

if TYPE_CHECKING:
    from swath.raster.band_units import Units

PixelWindow = tuple[int, int, int, int]
"""A window (x, y, width, height) in px of the scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """Size of an image and its location on Earth, as its header states them."""

    uri: str
    width: int
    """Width in px."""
    height: int
    """Height in px."""
    crs: CRS | None
    """CRS of `transform`, or of `gcps` where the file has no transform."""
    transform: Affine | None
    """Transform from px to the CRS; None where the file has none."""
    gcps: tuple[GroundControlPoint, ...]
    rpcs: bool
    """Whether the file has rational polynomial coefficients, which swath does not use."""

    @property
    def georeference(self) -> Georeference:
        """Location on Earth, in a form that can be stored as JSON."""
        points = [(gcp.col, gcp.row, gcp.x, gcp.y, gcp.z) for gcp in self.gcps]
        return Georeference(
            crs=self.crs.to_wkt() if self.crs else "",
            transform=self.transform[:6] if self.transform else None,
            gcps=[(*point, z if z is not None and isfinite(z) else 0.0) for *point, z in points],
        )

    @classmethod
    def from_georeference(
        cls, georeference: Georeference, *, uri: str, width: int, height: int
    ) -> ImageInfo:
        """Restore the header from which `georeference` was made, without its RPCs."""
        transform = georeference.transform
        return cls(
            uri=uri,
            width=width,
            height=height,
            crs=CRS.from_wkt(georeference.crs) if georeference.crs else None,
            transform=Affine(*transform) if transform else None,
            gcps=tuple(
                GroundControlPoint(col=column, row=row, x=x, y=y, z=z)
                for column, row, x, y, z in georeference.gcps
            ),
            rpcs=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneInfo(ImageInfo):
    """The header of a scene."""

    count: int
    """Number of bands."""
    dtype: str
    """NumPy name of the pixels' type."""
    band_names: tuple[str | None, ...]
    """Descriptions of the bands."""
    colors: tuple[str | None, ...]
    """Color interpretations of the bands: `red`, `alpha` …; None for gray and undefined."""
    nodata: tuple[float | None, ...]
    """Nodata values of the bands."""
    masked: bool
    """Whether a nodata value, a mask or an alpha band can mark pixels as not valid."""
    block_shape: tuple[int, int]
    """Size (rows, cols) in px of the blocks of the file, each of which is decoded whole."""
    units: Units
    """Units of the bands, where the header states them."""
    warnings: tuple[str, ...] = ()
    """Warnings about the document of the scene and its contradictions with the files."""
