"""Define a stack: the bands of a scene, the files that they lie in, and their common grid.

A plan stores the stack, so that a shard opens the same files in the same versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from swath.messages import Georeference, Payload
from swath.raster.band_units import Unit
from swath.storage import BucketAccess

if TYPE_CHECKING:
    from collections.abc import Sequence

Resampling = Literal["nearest", "bilinear", "cubic", "average"]
RESAMPLINGS: Sequence[Resampling] = get_args(Resampling)
DEFAULT_RESAMPLING: Resampling = "bilinear"
DEFAULT_GSD_TOLERANCE = 0.1
"""Relative deviation from a package's ground sampling distance that needs no resampling."""


class AssetRef(Payload, frozen=True, kw_only=True):
    """One version of a raster file of a scene."""

    uri: str
    """S3 URI, https address or local path."""
    etag: str
    """ETag of the version."""
    region: str = ""
    """AWS region of the bucket; empty for that of the process."""
    requester_pays: bool = False
    """Whether the reader pays for requests to the bucket."""

    @classmethod
    def with_access(cls, uri: str, access: BucketAccess, *, etag: str = "") -> Self:
        """Return a version of a file; without an ETag, the current one is still to be pinned."""
        return cls(uri=uri, etag=etag, region=access.region, requester_pays=access.requester_pays)

    @property
    def access(self) -> BucketAccess:
        """Region of the bucket, and who pays."""
        return BucketAccess(self.region, self.requester_pays)


class BandSource(Payload, frozen=True, kw_only=True):
    """Band of an asset, and what its numbers mean."""

    name: str
    """Name of the band in the model."""
    asset: int
    """Index of the asset in `BandStack.assets`, from 0."""
    band: int
    """Number of the band in the asset, from 1."""
    unit: Unit | None = None
    """Unit of the band; None where neither its Item nor its file states one."""
    nodata: float | None = None
    """Nodata value; None for that of the file, if any."""


class BandStack(Payload, frozen=True, kw_only=True):
    """Bands of a scene in the model's order, on the pixel grid of a run."""

    assets: list[AssetRef]
    bands: list[BandSource]
    resampling: Resampling
    """Method by which an asset with another grid is resampled."""
    width: int
    """Width of the grid in px."""
    height: int
    """Height of the grid in px."""
    georeference: Georeference
    """Location of the grid on Earth."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Width and height of a grid px in scene px, which are those of the scene's finest band."""
    warnings: list[str] = []  # noqa: RUF012 - msgspec copies the defaults of its structs
    """Warnings about the scene's document, and about contradictions of it and the files."""

    @property
    def fingerprint_parts(self) -> list[Any]:
        """All that decides the pixels of the stack, as plain types.

        Warnings are left out, since another version of swath may word them differently, and so is
        who pays for requests. A field that changes no pixel is not listed here either: a run in
        progress then keeps its fingerprint when swath is updated.
        """
        bands = [
            [
                *(band.name, self.assets[band.asset].uri, self.assets[band.asset].etag, band.band),
                band.unit and [band.unit.name, band.unit.scale, band.unit.offset],
                band.nodata,
            ]
            for band in self.bands
        ]
        place = self.georeference
        grid = [self.width, self.height, self.scale, place.crs, place.transform, place.gcps]
        return [bands, self.resampling, grid]


@dataclass(frozen=True, slots=True)
class BandNeeds:
    """Requirements of a model package for the bands of a scene."""

    names: tuple[str, ...]
    """Names of the bands, in the model's order."""
    gsd: float | None = None
    """Ground sampling distance in m that scenes are resampled to; None for the scene's own."""
    gsd_tolerance: float = DEFAULT_GSD_TOLERANCE
    """Relative deviation from `gsd` up to which a scene keeps its own pixels."""
    resampling: Resampling = DEFAULT_RESAMPLING


def pixel_scale(stack: BandStack | None) -> tuple[float, float]:
    """Return the width and height of a grid px in scene px; 1 without a stack."""
    return stack.scale if stack else (1.0, 1.0)
