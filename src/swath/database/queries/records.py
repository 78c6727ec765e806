"""Records that queries return."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from swath.errors import InputError

Record = TypeVar("Record")


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Position in a list: the last record of a page. Lists begin with the newest acquisition."""

    acquired_at: datetime | None
    """Time of the acquisition; None comes after all times."""
    run: int
    """Number of the run."""
    id: int = 0
    """Id of the detection; 0 in lists of runs and scenes."""

    def to_token(self) -> str:
        """Return the cursor as text of letters, digits, `-` and `_`."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    @classmethod
    def from_token(cls, token: str) -> Cursor:
        """Read a cursor that `to_token` wrote.

        Raises:
            InputError: The text is no cursor.
        """
        try:
            content = base64.b64decode(
                token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
            )
            cursor = msgspec.msgpack.decode(content, type=cls)
        except (binascii.Error, UnicodeEncodeError, msgspec.DecodeError):
            cursor = None
        if cursor is None or (cursor.acquired_at and cursor.acquired_at.tzinfo is None):
            raise InputError(
                f"{token[:80]!r} is no position in a list; use the one that a page returned"
            )
        return cursor


class Page(msgspec.Struct, Generic[Record], frozen=True):
    """Part of a list."""

    items: tuple[Record, ...]
    """Records, those of the newest acquisition first."""
    next: Cursor | None
    """Cursor to pass as `after` for the next page; None on the last page."""


class Detection(msgspec.Struct, frozen=True, kw_only=True, rename={"class_name": "class"}):
    """Detection with its scene and model."""

    id: int
    """Id of the detection."""
    class_name: str
    """Name of the class."""
    score: float
    """Score, 0 to 1."""
    tile: int
    """Number of the tile of the scene that contains the center."""
    area_m2: float
    """Area on the ellipsoid in m²."""
    length_m: float
    """Longer side of the smallest rectangle around the detection, in m."""
    geometry: msgspec.Raw
    """Geometry as GeoJSON, in degrees on WGS 84."""
    run: int
    """Number of the run."""
    run_id: UUID
    """Id of the run."""
    scene_id: str
    """Identity of the scene."""
    scene_uri: str
    """Address of the scene."""
    model: str
    """Name of the model."""
    model_digest: str
    """SHA-256 of the model package."""
    acquired_at: datetime | None
    """Time of the acquisition; None if unknown."""
    software: str | None
    """Version of swath that loaded the detection; None if unknown."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Run that ended."""

    run: int
    """Number of the run."""
    run_id: UUID
    """Id of the run."""
    scene_id: str
    """Identity of the scene."""
    scene_uri: str
    """Address of the scene."""
    scene_etag: str
    """ETag of the scene that was read."""
    scene_dropped_at: datetime
    """Time at which the scene was uploaded."""
    model: str
    """Name of the model."""
    model_digest: str
    """SHA-256 of the model package."""
    options: dict[str, Any]
    """Options of the request."""
    backend: str | None
    """Backend that ran the shards."""
    status: str
    """Status, see docs/database.md."""
    active: bool
    """Whether the detections of the run are the current ones."""
    error: str | None
    """Name of the error of a failed run."""
    cause: str | None
    """Message of the error of a failed run."""
    tiles_planned: int | None
    """Number of tiles of the scene."""
    tiles_succeeded: int | None
    """Number of tiles that the model processed."""
    tiles_failed: int | None
    """Number of tiles that failed."""
    tiles_skipped: int | None
    """Number of tiles without a valid pixel."""
    detections: int | None
    """Number of detections."""
    warnings: list[str]
    """One sentence for each problem of a run that succeeded."""
    requested_at: datetime | None
    """Time at which the run was requested."""
    ended_at: datetime
    """Time at which the run ended."""
    acquired_at: datetime | None
    """Time of the acquisition; None if unknown."""
    footprint: msgspec.Raw | None
    """Outline of the valid pixels as GeoJSON; None if unknown."""
    valid_area_m2: float | None
    """Area of the valid pixels in m²; None if unknown."""
    platform: str | None
    """Name of the satellite or aircraft."""
    gsd: float | None
    """Ground sampling distance in m."""
    cloud_cover: float | None
    """Cloud cover in percent."""
    sun_azimuth: float | None
    """Azimuth of the sun in degrees."""
    sun_elevation: float | None
    """Elevation of the sun in degrees."""
    view_off_nadir: float | None
    """Angle between line of sight and nadir in degrees."""
    view_azimuth: float | None
    """Azimuth of the line from the scene to the sensor in degrees."""
    view_incidence: float | None
    """Angle between line of sight and the vertical in degrees."""
    software: str | None
    """Version of swath that wrote the row."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Scene, as its newest run describes it."""

    scene_id: str
    """Identity of the scene."""
    scene_uri: str
    """Address of the scene."""
    acquired_at: datetime | None
    """Time of the acquisition; None if unknown."""
    footprint: msgspec.Raw | None
    """Outline of the valid pixels as GeoJSON; None if unknown."""
    valid_area_m2: float | None
    """Area of the valid pixels in m²; None if unknown."""
    platform: str | None
    """Name of the satellite or aircraft."""
    gsd: float | None
    """Ground sampling distance in m."""
    cloud_cover: float | None
    """Cloud cover in percent."""
    runs: int
    """Number of runs of the scene that satisfy the filter."""
    detections: int
    """Number of their detections."""
