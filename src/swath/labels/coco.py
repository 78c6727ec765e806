"""Labels as COCO writes them: one JSON of images, annotations and categories.

https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import shapely

from swath import storage
from swath.errors import LabelsError, SceneError
from swath.labels import rle
from swath.labels.files import read_headers
from swath.labels.label import Label, SceneLabels
from swath.labels.objects import polygons_of
from swath.segmentation.polygonise import polygons_of_mask

if TYPE_CHECKING:
    from swath.scene import Scene

_FEWEST = 6
"""Numbers of a polygon."""


class _Image(msgspec.Struct):
    id: int | str
    file_name: str
    width: int | None = None
    height: int | None = None


class _Runs(msgspec.Struct):
    counts: str | list[int]
    size: tuple[int, int]


class _Annotation(msgspec.Struct):
    id: int | str
    image_id: int | str
    category_id: int | str
    bbox: tuple[float, float, float, float] | None = None
    segmentation: list[list[float]] | _Runs | None = None
    iscrowd: int = 0


class _Category(msgspec.Struct):
    id: int | str
    name: str


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_coco(text: bytes, *, source: str, images: str) -> tuple[list[SceneLabels], list[str]]:
    """Scenes with their labels, in the order of the file, and the classes in that of their ids.

    Args:
        text: the file.
        source: what messages call it.
        images: the folder that its file names are relative to.

    Raises:
        LabelsError: the file contradicts itself or the scenes; the message says where.
        SceneError: a scene is not one that swath reads.
    """
    try:
        content = msgspec.json.decode(text, type=_File)
    except msgspec.DecodeError as error:
        raise LabelsError(
            f"{source}: {error}; COCO has images, annotations and categories"
        ) from None
    _check_ids(content, source)
    names = {category.id: category.name for category in content.categories}
    headers = _headers(content.images, source, images)
    by_image: dict[int | str, list[Label]] = defaultdict(list)
    scenes = {image.id: header for image, header in zip(content.images, headers, strict=True)}
    for annotation in content.annotations:
        label = _label(annotation, scenes, names, source)
        by_image[annotation.image_id].append(label)
    found = [SceneLabels(scenes[image.id], by_image[image.id]) for image in content.images]
    return found, list(names.values())


def _check_ids(content: _File, source: str) -> None:
    given: dict[str, list[Hashable]] = {
        "image id": [image.id for image in content.images],
        "file_name": [image.file_name for image in content.images],
        "annotation id": [annotation.id for annotation in content.annotations],
        "category id": [category.id for category in content.categories],
        "category name": [category.name for category in content.categories],
    }
    for what, values in given.items():
        twice = _repeated(values)
        if twice is not None:
            raise LabelsError(f"{source}: the {what} {twice!r} is given twice; make each its own")
    content.categories.sort(key=lambda category: (isinstance(category.id, str), category.id))


def _repeated(values: Iterable[Hashable]) -> Hashable | None:
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _headers(images: Sequence[_Image], source: str, folder: str) -> list[Scene]:
    uris = [_address(image, folder) for image in images]
    try:
        headers = read_headers(uris)
    except SceneError:
        for image, uri in zip(images, uris, strict=True):
            if not storage.exists(uri):
                raise LabelsError(_missing(image, uri, source)) from None
        raise
    for image, header in zip(images, headers, strict=True):
        told = (image.width or header.width, image.height or header.height)
        if told != (header.width, header.height):
            raise LabelsError(
                f"{source}: image {image.id!r} has {told[0]} x {told[1]} px, but {header.uri} "
                f"{header.width} x {header.height}; give the scene that was labelled"
            )
    return headers


def _address(image: _Image, folder: str) -> str:
    if PurePosixPath(folder).name == PurePosixPath(image.file_name).name:
        return folder  # the one scene itself
    return storage.join(folder, image.file_name)


def _missing(image: _Image, uri: str, source: str) -> str:
    return (
        f"{source}: image {image.id!r} is {image.file_name}, and there is no scene at {uri}; "
        "give the folder that the file names are relative to, or add the scene"
    )


def _label(
    annotation: _Annotation,
    scenes: dict[int | str, Scene],
    names: dict[int | str, str],
    source: str,
) -> Label:
    where = f"{source}: annotation {annotation.id!r}"
    if annotation.image_id not in scenes:
        raise LabelsError(f"{where} is of image {annotation.image_id!r}, which is not in the file")
    if annotation.category_id not in names:
        raise LabelsError(
            f"{where} is of the unknown class {annotation.category_id!r}; the categories are "
            + ", ".join(f"{number!r} ({name})" for number, name in names.items())
        )
    outline = _outline(annotation, scenes[annotation.image_id], where)
    return Label(
        source=f"{where} ({scenes[annotation.image_id].uri})",
        class_name=names[annotation.category_id],
        box=_box(annotation, outline, where),
        outline=outline,
        crowd=bool(annotation.iscrowd),
    )


def _box(annotation: _Annotation, outline: Any, where: str) -> tuple[float, float, float, float]:
    if annotation.bbox:
        x, y, width, height = annotation.bbox
        return x, y, x + width, y + height
    if outline is None:
        raise LabelsError(f"{where} has neither a bbox nor a segmentation; give it one of them")
    x_min, y_min, x_max, y_max = outline.bounds
    return x_min, y_min, x_max, y_max


def _outline(annotation: _Annotation, scene: Scene, where: str) -> Any:
    drawn = annotation.segmentation
    if not drawn:
        return None
    if isinstance(drawn, _Runs):
        return _outline_of_runs(drawn, scene, where)
    if any(len(ring) < _FEWEST or len(ring) % 2 for ring in drawn):
        raise LabelsError(
            f"{where} has a polygon of {min(map(len, drawn))} numbers; three points are needed, "
            "and two numbers a point"
        )
    rings = [shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in drawn]
    shape = polygons_of(shapely.union_all([polygons_of(ring) for ring in rings]))
    if shape.is_empty:
        raise LabelsError(f"{where} has an outline that has no area; mend or remove it")
    return shape


def _outline_of_runs(runs: _Runs, scene: Scene, where: str) -> Any:
    if runs.size != (scene.height, scene.width):
        raise LabelsError(
            f"{where} has a mask of {runs.size[0]} x {runs.size[1]} (rows x columns), and its "
            f"scene {scene.height} x {scene.width}; make them the same"
        )
    try:
        shape = polygons_of_mask(rle.decode(runs.counts, runs.size))
    except ValueError as error:
        raise LabelsError(f"{where} has a mask that cannot be read: {error}") from None
    if shape is None:
        raise LabelsError(f"{where} has a mask without pixels; mend or remove it")
    return shape
