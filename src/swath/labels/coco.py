"""Read labels in COCO format: a JSON file of images, annotations and categories.

https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from swath import storage
from swath.errors import LabelsError, SceneError
from swath.labels.coco_shapes import Annotation, is_rotated, read_shape
from swath.labels.coco_units import check_units
from swath.labels.files import read_headers
from swath.labels.orientation import refuse_rotated
from swath.labels.records import Label, SceneLabels
from swath.labels.text import decode_json, refuse_repeated_members

if TYPE_CHECKING:
    from swath.raster.scene_info import SceneInfo


class _Image(msgspec.Struct):
    id: int | str
    file_name: str
    width: int | None = None
    height: int | None = None


class _Category(msgspec.Struct):
    id: int | str
    name: str


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[Annotation]
    categories: list[_Category]


def read_coco(
    text: bytes, *, source: str, images: str, bands: Sequence[str] = ()
) -> tuple[list[SceneLabels], list[str]]:
    """Return the scenes of a COCO file with their labels, and the names of its classes.

    Args:
        text: Content of the file, in UTF-8.
        source: Name of the file, for messages.
        images: Folder that the images' file names are relative to, or the address of one scene.
        bands: Names of the model's bands, which a scene of several files needs.

    Returns:
        The scenes in the order of the file, and the names of the classes in the order of their ids.

    Raises:
        LabelsError: The file is invalid or does not fit the scenes. The message names what is
            wrong.
        SceneError: swath cannot read a scene.
    """
    form = "COCO has images, annotations and categories"
    content = decode_json(text, _File, source=source, form=form)
    refuse_repeated_members(text, source)
    _check_ids(content, source)
    names = {category.id: category.name for category in content.categories}
    headers = _read_scene_headers(content.images, source, images, bands)
    by_image: dict[int | str, list[Label]] = defaultdict(list)
    scenes = {image.id: header for image, header in zip(content.images, headers, strict=True)}
    oriented = any(map(is_rotated, content.annotations))
    labels = [
        _read_label(annotation, scenes, names, source, oriented=oriented)
        for annotation in content.annotations
    ]
    check_units(content.annotations, labels, scenes, source)
    for annotation, label in zip(content.annotations, labels, strict=True):
        by_image[annotation.image_id].append(label)
    scene_labels = [SceneLabels(scenes[image.id], by_image[image.id]) for image in content.images]
    return scene_labels, list(names.values())


def _check_ids(content: _File, source: str) -> None:
    """Raise an error for an id or a name that occurs twice, and sort the categories by id."""
    values_by_field: dict[str, list[Hashable]] = {
        "image id": [image.id for image in content.images],
        "file_name": [image.file_name for image in content.images],
        "annotation id": [annotation.id for annotation in content.annotations],
        "category id": [category.id for category in content.categories],
        "category name": [category.name for category in content.categories],
    }
    for field, values in values_by_field.items():
        repeated = _first_repeated(values)
        if repeated is not None:
            raise LabelsError(f"{source}: the {field} {repeated!r} occurs twice; make each unique")
    content.categories.sort(key=lambda category: (isinstance(category.id, str), category.id))


def _first_repeated(values: Iterable[Hashable]) -> Hashable | None:
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _read_scene_headers(
    images: Sequence[_Image], source: str, folder: str, bands: Sequence[str]
) -> list[SceneInfo]:
    uris = [_scene_uri(image, folder) for image in images]
    _refuse_repeated_scene(images, uris, source)
    try:
        headers = read_headers(uris, bands)
    except SceneError:
        for image, uri in zip(images, uris, strict=True):
            if not storage.exists(uri):
                raise LabelsError(_missing_scene(image, uri, source)) from None
        raise
    refuse_rotated(uris)
    for image, header in zip(images, headers, strict=True):
        stated_size = (image.width or header.width, image.height or header.height)
        if stated_size != (header.width, header.height):
            raise LabelsError(
                f"{source}: image {image.id!r} is {stated_size[0]} x {stated_size[1]} px, but "
                f"{header.uri} is {header.width} x {header.height} px; give the labeled scene"
            )
    return headers


def _refuse_repeated_scene(images: Sequence[_Image], uris: Sequence[str], source: str) -> None:
    """Raise an error if two images are the same scene, since each would lack the other's labels."""
    first: dict[str, _Image] = {}
    for image, uri in zip(images, uris, strict=True):
        other = first.setdefault(storage.resolve(uri, allow_https=True), image)
        if other is not image:
            raise LabelsError(
                f"{source}: images {other.id!r} ({other.file_name}) and {image.id!r} "
                f"({image.file_name}) refer to the same scene, {uri}; merge them into one image, "
                "with the annotations of both"
            )


def _scene_uri(image: _Image, folder: str) -> str:
    name = PurePosixPath(image.file_name)
    if PurePosixPath(folder).name == name.name:
        return folder  # `folder` is the address of one scene
    # PurePosixPath drops `./` and `//`, and keeps `..`.
    return storage.join(folder, str(name))


def _missing_scene(image: _Image, uri: str, source: str) -> str:
    return (
        f"{source}: image {image.id!r} has the file_name {image.file_name}, but there is no scene "
        f"at {uri}; "
        "give the folder that the file names are relative to, or add the scene"
    )


def _read_label(
    annotation: Annotation,
    scenes: dict[int | str, SceneInfo],
    names: dict[int | str, str],
    source: str,
    *,
    oriented: bool,
) -> Label:
    where = f"{source}: annotation {annotation.id!r}"
    if annotation.image_id not in scenes:
        raise LabelsError(
            f"{where} has the image_id {annotation.image_id!r}, which is not in the file; add the "
            "image, or remove the annotation"
        )
    if annotation.category_id not in names:
        raise LabelsError(
            f"{where} has the unknown category_id {annotation.category_id!r}; add it to the "
            "categories, or give the annotation one of "
            + ", ".join(f"{number!r} ({name})" for number, name in names.items())
        )
    if annotation.iscrowd not in {None, 0, 1}:
        raise LabelsError(f"{where} has the iscrowd {annotation.iscrowd}; it must be 0 or 1")
    shape = read_shape(annotation, scenes[annotation.image_id], where, oriented=oriented)
    return Label(
        source=f"{where} ({scenes[annotation.image_id].uri})",
        class_name=names[annotation.category_id],
        box=shape.box,
        outline=shape.outline,
        area=shape.area,
        crowd=bool(annotation.iscrowd),
    )
