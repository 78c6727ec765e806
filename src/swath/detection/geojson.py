"""Convert detections to GeoJSON features, with the column names of GeoParquet as properties."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import shapely

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from swath.detection.detections import Detections

_PIXELS = ("x_min", "y_min", "x_max", "y_max")
_NO_CONSTANTS: Mapping[str, Any] = MappingProxyType({})


def to_features(
    rows: Detections,
    shapes: NDArray[np.object_],
    classes: Sequence[str],
    constants: Mapping[str, Any] = _NO_CONSTANTS,
) -> list[dict[str, Any]]:
    """Return detections as GeoJSON features, ready for msgspec to encode.

    Args:
        rows: Detections, n of them.
        shapes: (n,) shapely Polygons or MultiPolygons.
        classes: Names of the classes, in the order of their labels.
        constants: Further properties, the same in all features.
    """
    columns = (rows.label.tolist(), decimal_scores(rows), rows.box.tolist(), raw_geometries(shapes))
    return [
        {
            "type": "Feature",
            "geometry": shape,
            "properties": {
                "class": classes[label],
                "score": score,
                **dict(zip(_PIXELS, box, strict=True)),
                **constants,
            },
        }
        for label, score, box, shape in zip(*columns, strict=True)
    ]


def decimal_scores(rows: Detections) -> list[float]:
    """Return the scores as the shortest decimals that identify their float32 values."""
    return [float(str(score)) for score in rows.score]


def raw_geometries(shapes: NDArray[np.object_]) -> list[msgspec.Raw]:
    """Return each shape as an encoded GeoJSON geometry."""
    return [msgspec.Raw(text.encode()) for text in shapely.to_geojson(shapes)]
