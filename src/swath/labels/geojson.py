"""Read labels in GeoJSON format: polygons in map coordinates, for one or several scenes.

RFC 7946 allows longitude and latitude only. The `crs` member of the format's first version (2008),
which GDAL writes for other CRSs, is read as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import shapely

from swath.errors import LabelsError
from swath.labels.crs_member import LON_LAT, read_crs_member, refuse_own_crs
from swath.labels.files import read_headers
from swath.labels.georeferencing import SceneLocation
from swath.labels.map_shapes import reproject_to_map
from swath.labels.objects import MAX_COORDINATE_PX, to_valid_polygons
from swath.labels.records import Label, SceneLabels
from swath.labels.text import decode_json, read_text, refuse_repeated_members

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from rasterio.crs import CRS

    from swath.raster.scene_info import SceneInfo

CLASS_PROPERTIES = ("class", "class_name", "label", "category")
"""Properties that may hold a feature's class, in order of preference."""
_AREA_TYPES = {"Polygon", "MultiPolygon"}
_POINT_TYPES = {"Point"}


class _Feature(msgspec.Struct):
    geometry: msgspec.Raw = msgspec.Raw(b"null")
    properties: dict[str, Any] | None = None
    id: int | str | None = None
    crs: Any = None


class _Collection(msgspec.Struct):
    type: str
    features: list[_Feature]
    crs: Any = None


@dataclass(frozen=True, slots=True)
class Features:
    """Features of a GeoJSON file."""

    source: str
    """Name of the file, for messages."""
    crs: CRS
    """CRS of the features."""
    shapes: NDArray[Any]
    """(n,): shapely Polygons, MultiPolygons and Points in `crs`."""
    classes: list[str]
    """Class of each feature."""
    names: list[str]
    """Name of each feature, for messages."""


def read_features(text: bytes, *, source: str, default_class: str | None) -> Features:
    """Return the features of a GeoJSON file.

    Args:
        text: Content of the file, in UTF-8.
        source: Name of the file, for messages.
        default_class: Class of features without a class property; None if each must have one.

    Raises:
        LabelsError: The file is not GeoJSON, or a feature cannot be a label.
    """
    form = "GeoJSON is a FeatureCollection (ogr2ogr can make one)"
    content = decode_json(text, _Collection, source=source, form=form)
    refuse_repeated_members(text, source)
    names = _feature_names(content.features, source)
    shapes = shapely.from_geojson(
        [bytes(feature.geometry) for feature in content.features], on_invalid="ignore"
    )
    for feature, name, shape in zip(content.features, names, shapes, strict=True):
        refuse_own_crs(bytes(feature.geometry), feature.crs, name)
        if shape is None or shape.is_empty or shape.geom_type not in _AREA_TYPES | _POINT_TYPES:
            kind = "no geometry that can be read" if shape is None else f"a {shape.geom_type}"
            kind = "an empty geometry" if shape is not None and shape.is_empty else kind
            raise LabelsError(
                f"{name} has {kind}; a label is a Polygon or a MultiPolygon of closed rings"
            )
    classes = [
        _read_class(feature, name, default_class)
        for feature, name in zip(content.features, names, strict=True)
    ]
    return Features(
        source,
        read_crs_member(content.crs, source),
        np.asarray(shapely.force_2d(shapes)),
        classes,
        names,
    )


def read_geojson(
    files: Mapping[str, str] | str,
    scenes: Sequence[str],
    *,
    default_class: str | None,
    point_size: float | None,
    bands: Sequence[str] = (),
) -> list[SceneLabels]:
    """Return scenes with their labels, in the order of the scenes.

    Args:
        files: Label file of each scene that has one, or one label file for all scenes.
        scenes: Addresses of the scenes.
        default_class: Class of features without a class property; None if each must have one.
        point_size: Side in px of the square that replaces a point; None to refuse points.
        bands: Names of the model's bands, which a scene of several files needs.

    Raises:
        LabelsError: The labels are invalid or do not fit the scenes. The message names the feature.
        SceneError: swath cannot read a scene.
    """
    headers = read_headers(scenes, bands)
    if isinstance(files, str):
        features = read_features(read_text(files), source=files, default_class=default_class)
        return _labels_by_scene(features, headers, point_size)
    scene_labels = []
    for header in headers:
        labels: Iterable[Label] = ()
        if header.uri in files:
            source = files[header.uri]
            features = read_features(read_text(source), source=source, default_class=default_class)
            labels = _labels_in_scene(features, SceneLocation.from_scene(header), point_size)
        scene_labels.append(SceneLabels(header, list(labels)))
    return scene_labels


def _labels_in_scene(
    features: Features, location: SceneLocation, point_size: float | None
) -> Iterable[Label]:
    """Return all labels of a file that belongs to one scene, in scene px."""
    shapes_on_map = reproject_to_map(
        features.shapes, features.crs, location.crs, location.wide_extent
    )
    _refuse_unrepresentable(features, shapes_on_map.shapes, location.scene)
    indices, shifts = location.intersecting(shapes_on_map, shapely.STRtree(shapes_on_map.shapes))
    # Labels outside the scene are kept, so that a later error can state their boxes.
    outside = np.setdiff1d(np.arange(len(shapes_on_map.shapes)), indices)
    indices = np.append(indices, outside)
    shifts = np.append(shifts, shapes_on_map.nearest_shifts(outside, location.extent))
    order = np.argsort(indices, kind="stable")
    indices, shifts = indices[order], shifts[order]
    pixels = location.pixels(shapes_on_map.shifted(indices, shifts))
    return _labels(features, indices.tolist(), pixels, point_size)


def _labels_by_scene(
    features: Features, headers: Sequence[SceneInfo], point_size: float | None
) -> list[SceneLabels]:
    """Return the labels of one file by scene; a label belongs to every scene that it overlaps."""
    locations = [SceneLocation.from_scene(header) for header in headers]
    scenes_by_map: dict[tuple[str, tuple[float, float]], list[int]] = defaultdict(list)
    for scene_index, location in enumerate(locations):
        scenes_by_map[location.crs.to_wkt(), location.wide_extent].append(scene_index)
    labels_by_scene: list[list[Label]] = [[] for _ in headers]
    outside = np.ones(len(features.shapes), np.bool_)
    for (_, extent), scene_indices in scenes_by_map.items():
        shapes_on_map = reproject_to_map(
            features.shapes, features.crs, locations[scene_indices[0]].crs, extent
        )
        # A shape that the CRS cannot represent lies in no scene of that CRS. The tree skips None.
        representable = shapes_on_map.shapes.copy()
        representable[~_is_finite(representable)] = None
        tree = shapely.STRtree(representable)
        for scene_index in scene_indices:
            indices, shifts = locations[scene_index].intersecting(shapes_on_map, tree)
            outside[indices] = False
            pixels = locations[scene_index].pixels(shapes_on_map.shifted(indices, shifts))
            labels = _labels(features, indices.tolist(), pixels, point_size)
            labels_by_scene[scene_index] = [
                label for label in labels if _is_in(label, headers[scene_index])
            ]
    _refuse_outside(features, np.flatnonzero(outside), headers)
    return [
        SceneLabels(header, labels) for header, labels in zip(headers, labels_by_scene, strict=True)
    ]


def _is_finite(shapes: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which shapes have only finite corners; reprojection makes other corners infinite."""
    corners, owner = shapely.get_coordinates(shapes, return_index=True)
    finite = np.ones(len(shapes), np.bool_)
    finite[owner[~np.isfinite(corners).all(axis=1)]] = False
    return finite


def _refuse_unrepresentable(features: Features, shapes: NDArray[Any], scene: SceneInfo) -> None:
    lost = np.flatnonzero(~_is_finite(shapes))
    if len(lost):
        raise LabelsError(
            f"{features.names[lost[0]]} has no position in the projection of {scene.uri} "
            f"(features without one: {len(lost)}); {_first_corner(features, lost[0])}. Correct or "
            "remove these features"
        )


def _labels(
    features: Features, indices: Iterable[int], pixels: NDArray[Any], point_size: float | None
) -> Iterable[Label]:
    for index, shape_in_px in zip(indices, pixels, strict=True):
        name = features.names[index]
        if not (np.abs(shapely.get_coordinates(shape_in_px)) <= MAX_COORDINATE_PX).all():
            raise LabelsError(
                f"{name} has a corner more than {MAX_COORDINATE_PX:g} px from the scene; "
                f"{_first_corner(features, index)}. Correct or remove it"
            )
        shape = (
            _point_to_square(shape_in_px, name, point_size)
            if shape_in_px.geom_type in _POINT_TYPES
            else shape_in_px
        )
        outline = to_valid_polygons(shape)
        if outline.is_empty:
            raise LabelsError(f"{name} has an outline without area; correct or remove it")
        x_min, y_min, x_max, y_max = outline.bounds
        yield Label(
            source=name,
            class_name=features.classes[index],
            box=(x_min, y_min, x_max, y_max),
            outline=outline,
        )


def _point_to_square(point: Any, name: str, size: float | None) -> Any:
    if size is None:
        raise LabelsError(
            f"{name} has a Point, but a label needs an area; draw polygons, or set point_size, the "
            "side in px of a square around each point"
        )
    x, y = point.x, point.y
    return shapely.box(x - size / 2, y - size / 2, x + size / 2, y + size / 2)


def _is_in(label: Label, scene: SceneInfo) -> bool:
    x_min, y_min, x_max, y_max = label.box
    return x_min < scene.width and y_min < scene.height and x_max > 0 and y_max > 0


def _refuse_outside(
    features: Features, outside: NDArray[np.int64], headers: Sequence[SceneInfo]
) -> None:
    if len(outside):
        raise LabelsError(
            f"{features.names[outside[0]]} lies outside all scenes "
            f"(features outside: {len(outside)}, scenes: {len(headers)}); "
            f"{_first_corner(features, outside[0])}. Give the labeled scenes, or remove these "
            "features (ogr2ogr -clipsrc can)"
        )


def _first_corner(features: Features, number: int) -> str:
    x, y = shapely.get_coordinates(features.shapes[number])[0]
    hint = (
        ""
        if features.crs != LON_LAT or _is_lon_lat(x, y)
        else ", which is not a longitude and latitude: the file lacks a crs member"
    )
    return f"it begins at ({x:g}, {y:g}){hint}"


def _is_lon_lat(x: float, y: float) -> bool:
    return abs(x) <= 360 and abs(y) <= 90  # noqa: PLR2004 (degrees)


def _feature_names(features: Sequence[_Feature], source: str) -> list[str]:
    seen: set[int | str] = set()
    for feature in features:
        if feature.id is not None and feature.id in seen:
            raise LabelsError(f"{source}: the id {feature.id!r} occurs twice; make each unique")
        if feature.id is not None:
            seen.add(feature.id)
    return [
        f"{source}: feature {number}" if feature.id is None else f"{source}: feature {feature.id!r}"
        for number, feature in enumerate(features, 1)
    ]


def _read_class(feature: _Feature, name: str, default: str | None) -> str:
    properties = feature.properties or {}
    # Shapefiles write property names in upper case. Names in the documented case have priority.
    folded = {key.casefold(): value for key, value in reversed(properties.items())}
    for known in (properties, folded):
        for key in CLASS_PROPERTIES:
            value = known.get(key)
            if value is not None:
                return _class_name(value, key, name)
    if default is None:
        raise LabelsError(
            f"{name} has no class, and there are several classes; give it a property "
            + " or ".join(CLASS_PROPERTIES)
        )
    return default


def _class_name(value: Any, key: str, name: str) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 3 and 3.0 are one class, as in a numeric column with missing values
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise LabelsError(f"{name} has the {key} {value!r}; a class must be text or a whole number")
    return str(value)
