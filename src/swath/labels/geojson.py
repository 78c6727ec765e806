"""Labels as GeoJSON: polygons on the map, for one scene or for many.

RFC 7946 knows longitude and latitude only; the `crs` member of the format's first version (2008),
which GDAL writes for other systems, is read as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import shapely
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError

from swath.errors import LabelsError
from swath.labels.files import read_headers, read_text
from swath.labels.label import Label, SceneLabels
from swath.labels.objects import polygons_of
from swath.labels.positions import Footprint, moved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from swath.scene import Scene

CLASS_PROPERTIES = ("class", "class_name", "label", "category")
"""Where a feature's class may stand, the first that it has."""
_LON_LAT = CRS.from_epsg(4326)
_AREAS = {"Polygon", "MultiPolygon"}
_POINTS = {"Point"}


class _Feature(msgspec.Struct):
    geometry: msgspec.Raw = msgspec.Raw(b"null")
    properties: dict[str, Any] | None = None
    id: int | str | None = None


class _Collection(msgspec.Struct):
    type: str
    features: list[_Feature]
    crs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """The objects of a file, on the map."""

    source: str
    crs: CRS
    shapes: NDArray[Any]
    """(n,) of shapely Polygons, MultiPolygons and Points in `crs`."""
    classes: list[str]
    names: list[str]
    """How messages call each."""


def read_features(text: bytes, *, source: str, default_class: str | None) -> Features:
    """The objects of a GeoJSON file.

    Args:
        text: the file.
        source: what messages call it.
        default_class: of features whose properties tell none; None where each has to.

    Raises:
        LabelsError: it is no GeoJSON, or a feature is none that can be a label.
    """
    try:
        content = msgspec.json.decode(text, type=_Collection)
    except msgspec.DecodeError as error:
        raise LabelsError(f"{source}: {error}; GeoJSON is a FeatureCollection") from None
    names = _names(content.features, source)
    shapes = shapely.from_geojson(
        [bytes(feature.geometry) for feature in content.features], on_invalid="ignore"
    )
    for name, shape in zip(names, shapes, strict=True):
        if shape is None or shape.is_empty or shape.geom_type not in _AREAS | _POINTS:
            kind = "no geometry that can be read" if shape is None else f"a {shape.geom_type}"
            kind = "an empty geometry" if shape is not None and shape.is_empty else kind
            raise LabelsError(f"{name} has {kind}; a label is a Polygon or a MultiPolygon")
    classes = [
        _class(feature, name, default_class)
        for feature, name in zip(content.features, names, strict=True)
    ]
    return Features(
        source, _crs(content.crs, source), np.asarray(shapely.force_2d(shapes)), classes, names
    )


def read_geojson(
    files: Mapping[str, str] | str,
    scenes: Sequence[str],
    *,
    default_class: str | None,
    point_size: float | None,
) -> list[SceneLabels]:
    """Scenes with their labels, in the order of the scenes.

    Args:
        files: the file of labels of each scene that has one, or one file for all.
        scenes: addresses.
        default_class: of features whose properties tell none; None where each has to.
        point_size: px along each side of the square that stands for a point.

    Raises:
        LabelsError: the labels contradict themselves or the scenes; the message says where.
        SceneError: a scene is not one that swath reads.
    """
    headers = read_headers(scenes)
    if isinstance(files, str):
        features = read_features(read_text(files), source=files, default_class=default_class)
        return _spread(features, headers, point_size)
    found = []
    for header in headers:
        labels: Iterable[Label] = ()
        if header.uri in files:
            source = files[header.uri]
            features = read_features(read_text(source), source=source, default_class=default_class)
            pixels = Footprint.of(header).place(features.shapes, features.crs)
            labels = _labels(features, range(len(pixels)), pixels, point_size)
        found.append(SceneLabels(header, list(labels)))
    return found


def _spread(
    features: Features, headers: Sequence[Scene], point_size: float | None
) -> list[SceneLabels]:
    """The labels of one file, each in all the scenes that it lies in."""
    places = [Footprint.of(header) for header in headers]
    alike: dict[tuple[str, float | None], list[int]] = defaultdict(list)
    for number, place in enumerate(places):
        alike[place.crs.to_wkt(), place.around].append(number)
    found: list[list[Label]] = [[] for _ in headers]
    lost = np.ones(len(features.shapes), np.bool_)
    for (_, around), numbers in alike.items():
        shapes = moved(features.shapes, features.crs, places[numbers[0]].crs, around=around)
        tree = shapely.STRtree(shapes)
        for number in numbers:
            near = np.sort(tree.query(places[number].shape, predicate="intersects"))
            lost[near] = False
            pixels = places[number].pixels(shapes[near])
            labels = _labels(features, near.tolist(), pixels, point_size)
            found[number] = [label for label in labels if _is_in(label, headers[number])]
    _refuse(features, np.flatnonzero(lost), headers)
    return [SceneLabels(header, labels) for header, labels in zip(headers, found, strict=True)]


def _labels(
    features: Features, numbers: Iterable[int], pixels: NDArray[Any], point_size: float | None
) -> Iterable[Label]:
    for number, placed in zip(numbers, pixels, strict=True):
        name = features.names[number]
        shape = _square(placed, name, point_size) if placed.geom_type in _POINTS else placed
        outline = polygons_of(shape)
        if outline.is_empty:
            raise LabelsError(f"{name} has an outline that has no area; mend or remove it")
        x_min, y_min, x_max, y_max = outline.bounds
        yield Label(
            source=name,
            class_name=features.classes[number],
            box=(x_min, y_min, x_max, y_max),
            outline=outline,
        )


def _square(point: Any, name: str, size: float | None) -> Any:
    if size is None:
        raise LabelsError(
            f"{name} has a Point, and an object has an extent; draw polygons, or say how many px "
            "the square around a point is to have (point_size)"
        )
    x, y = point.x, point.y
    return shapely.box(x - size / 2, y - size / 2, x + size / 2, y + size / 2)


def _is_in(label: Label, scene: Scene) -> bool:
    x_min, y_min, x_max, y_max = label.box
    return x_min < scene.width and y_min < scene.height and x_max > 0 and y_max > 0


def _refuse(features: Features, lost: NDArray[np.int64], headers: Sequence[Scene]) -> None:
    if not len(lost):
        return
    x, y = shapely.get_coordinates(features.shapes[lost[0]])[0]
    hint = (
        ""
        if features.crs != _LON_LAT or _is_lon_lat(x, y)
        else (", which are no longitude and latitude: the file lacks a crs member")
    )
    raise LabelsError(
        f"{features.names[lost[0]]} lies in none of the scenes ({len(headers)}), like "
        f"{len(lost) - 1} others; it begins at ({x:g}, {y:g}){hint}. Give the scenes that were "
        "labelled, or remove what is outside (ogr2ogr -clipsrc can)"
    )


def _is_lon_lat(x: float, y: float) -> bool:
    return abs(x) <= 360 and abs(y) <= 90  # noqa: PLR2004 (degrees)


def _names(features: Sequence[_Feature], source: str) -> list[str]:
    seen: set[int | str] = set()
    for feature in features:
        if feature.id is not None and feature.id in seen:
            raise LabelsError(f"{source}: the id {feature.id!r} is given twice; make each its own")
        if feature.id is not None:
            seen.add(feature.id)
    return [
        f"{source}: feature {number}" if feature.id is None else f"{source}: feature {feature.id!r}"
        for number, feature in enumerate(features, 1)
    ]


def _class(feature: _Feature, name: str, default: str | None) -> str:
    for key in CLASS_PROPERTIES:
        value = (feature.properties or {}).get(key)
        if value is not None:
            return str(value)
    if default is None:
        raise LabelsError(
            f"{name} does not say its class, and there are several; give it a property "
            + " or ".join(CLASS_PROPERTIES)
        )
    return default


def _crs(member: dict[str, Any] | None, source: str) -> CRS:
    if member is None:
        return _LON_LAT
    name = member.get("properties", {}).get("name")
    try:
        return CRS.from_user_input(name)
    except (CRSError, CPLE_BaseError):
        raise LabelsError(
            f"{source}: the crs member names {name!r}, which is no coordinate reference system "
            "that is known; name one as urn:ogc:def:crs:EPSG::32631"
        ) from None
