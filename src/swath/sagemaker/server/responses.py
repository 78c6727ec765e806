"""Encode detections as an endpoint's answers: GeoJSON for maps, JSON in pixels for programs.

The GeoJSON of a georeferenced image is in longitude and latitude (RFC 7946). For other images,
positions are pixels from the upper left corner, with x to the right and y down. The member `"crs":
null` marks such positions: GDAL and QGIS follow the specification of 2008, in which it means that
no coordinate reference system can be assumed.
https://geojson.org/geojson-spec#coordinate-reference-system-objects
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from swath.detection.detections import boxes_to_polygons
from swath.detection.geojson import decimal_scores, raw_geometries, to_features
from swath.errors import SceneError
from swath.raster.georeference import Georeferencer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from swath.detection.detect_scene import SceneDetections
    from swath.detection.detections import Detections
    from swath.raster.scene_info import SceneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Identity of the model that made the detections."""

    name: str
    digest: str
    classes: Sequence[str]

    def to_json(self) -> dict[str, str]:
        """Return the model's name and digest, as a member of an answer."""
        return {"name": self.name, "digest": self.digest}


def to_geojson(result: SceneDetections, image: SceneInfo, source: ModelIdentity) -> bytes:
    """Return a FeatureCollection; its properties are named as in a run's GeoParquet file.

    Args:
        result: Detections in the image, with the counts of tiles and the warnings.
        image: Size and georeference of the image.
        source: Model that made the detections.
    """
    on_grid, shapes, placed = result.detections, None, True
    rows = on_grid.scaled(result.pixel_scale)
    try:
        georeferencer = Georeferencer.from_info(result.grid)
    except SceneError:
        placed, shapes = False, _pixel_shapes(rows)
    else:
        places = georeferencer.to_polygons(on_grid.box, on_grid.outline)
        rows, shapes = rows.take(places.is_valid), places.take(places.is_valid).to_shapely()
    collection: dict[str, Any] = {"type": "FeatureCollection"}
    if not placed:
        collection["crs"] = None
    return msgspec.json.encode(
        collection
        | {
            "features": to_features(rows, shapes, source.classes),
            "model": source.to_json(),
            "tiles": result.tiles.to_json(),
            "warnings": _warnings(result, image),
        }
    )


def to_json(result: SceneDetections, image: SceneInfo, source: ModelIdentity) -> bytes:
    """Return detections in pixels, whether the image is georeferenced or not.

    Boxes are (x0, y0, x1, y1) in px of the image; polygons are GeoJSON geometries in px.

    Args:
        result: Detections in the image, with the counts of tiles and the warnings.
        image: Size of the image.
        source: Model that made the detections.
    """
    rows = result.detections.scaled(result.pixel_scale)
    shapes = raw_geometries(_pixel_shapes(rows))
    columns = (rows.label.tolist(), decimal_scores(rows), rows.box.tolist(), shapes)
    return msgspec.json.encode(
        {
            "width": image.width,
            "height": image.height,
            "model": source.to_json(),
            "tiles": result.tiles.to_json(),
            "warnings": _warnings(result, image),
            "detections": [
                {
                    "class": source.classes[label],
                    "score": score,
                    "box": box,
                    "polygon": shape,
                }
                for label, score, box, shape in zip(*columns, strict=True)
            ],
        }
    )


def _warnings(result: SceneDetections, image: SceneInfo) -> list[str]:
    """Return the warnings without the path of the image's file, which callers do not know."""
    return [text.replace(image.uri, "the image") for text in result.warnings]


def _pixel_shapes(rows: Detections) -> NDArray[np.object_]:
    return boxes_to_polygons(rows.box) if rows.outline is None else rows.outline
