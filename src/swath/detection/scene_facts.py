"""Hold what a file of detections states about the scene as a whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import shapely

from swath.messages import UNKNOWN_ACQUISITION, Acquisition
from swath.observability.version import __version__

if TYPE_CHECKING:
    import pyarrow.parquet as pq

FOOTPRINT_KEY = "swath:footprint"
"""Key of the file's metadata: the scene's outline as GeoJSON."""
VALID_FOOTPRINT_KEY = "swath:valid_footprint"
"""Key of the file's metadata: the outline of the scene's valid pixels as GeoJSON."""
VALID_AREA_KEY = "swath:valid_area_m2"
"""Key of the file's metadata: area of the valid pixels on the ellipsoid in m², or null."""
ACQUISITION_KEY = "swath:acquisition"
"""Key of the file's metadata: acquisition of the scene, as JSON."""
VERSION_KEY = "swath:version"
"""Key of the file's metadata: version of swath that wrote the file."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneFacts:
    """Location and acquisition of a scene."""

    footprint: shapely.Geometry
    """Outline of the scene in longitude and latitude, or in px without a position on Earth."""
    valid_footprint: shapely.Geometry
    """Outline of the valid pixels, in the same coordinates; empty if there are none.

    Within it, areas without rows have no detections.
    """
    valid_area_m2: float | None = None
    """Area of the valid pixels on the ellipsoid in m²; None without a position on Earth."""
    acquisition: Acquisition = UNKNOWN_ACQUISITION

    @property
    def acquired_at(self) -> datetime | None:
        """Time of the acquisition in UTC; None if it is not known."""
        text = self.acquisition.acquired_at
        return None if text is None else datetime.fromisoformat(text)

    @property
    def file_metadata(self) -> dict[str, str]:
        """Metadata of the scene in a file of detections, by key."""
        return {
            FOOTPRINT_KEY: shapely.to_geojson(self.footprint),
            VALID_FOOTPRINT_KEY: shapely.to_geojson(self.valid_footprint),
            VALID_AREA_KEY: json.dumps(self.valid_area_m2),
            ACQUISITION_KEY: json.dumps(self.acquisition.to_json()),
            VERSION_KEY: __version__,
        }


def read_footprint(footer: pq.FileMetaData) -> dict[str, Any]:
    """Return the outline of the scene from the metadata of its detections, as GeoJSON."""
    outline: dict[str, Any] = json.loads(footer.metadata[FOOTPRINT_KEY.encode()])
    return outline


def read_valid_footprint(footer: pq.FileMetaData) -> dict[str, Any]:
    """Return the outline of the valid pixels from the metadata, as GeoJSON; it may be empty.

    Files of earlier versions of swath have only the outline of the scene, which is then returned.
    """
    text = footer.metadata.get(VALID_FOOTPRINT_KEY.encode())
    outline: dict[str, Any] = read_footprint(footer) if text is None else json.loads(text)
    return outline
