"""Read labeled scenes from COCO or GeoJSON files, or from the layout of SpaceNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from swath.errors import LabelsError
from swath.labels import spacenet
from swath.labels.coco import read_coco
from swath.labels.collection import Collection
from swath.labels.files import digests, find_scenes, listed, stem
from swath.labels.formats import Form
from swath.labels.geojson import read_geojson
from swath.labels.records import SceneLabels, check_class_names, class_list, labelled_scene
from swath.labels.renaming import check_renamed, rename_classes
from swath.labels.scene_matching import match, tile_id
from swath.labels.text import decode_json, read_text

_OBJECT = "object"
"""Class of objects without a stated class."""


class _Members(msgspec.Struct):
    """Members that distinguish a COCO file from a GeoJSON file."""

    images: msgspec.Raw = msgspec.Raw()
    features: msgspec.Raw = msgspec.Raw()


def read_collection(
    labels: str | None,
    images: str,
    *,
    form: Form = "auto",
    classes: Sequence[str] | None = None,
    class_map: Mapping[str, str] | None = None,
    all_mapped: bool = True,
    point_size: float | None = None,
) -> Collection:
    """Return labeled scenes, with objects clipped at their scene's edges.

    Args:
        labels: File or folder of labels, an S3 URI or a local path; by default, the labels in the
            folder of the scenes.
        images: Folder of the scenes, or one scene.
        form: Format of the labels; by default, detected from the files.
        classes: Names of the classes, in order, after `class_map` is applied; by default, those of
            the labels.
        class_map: New names for classes of the labels, such as the model's names.
        all_mapped: Whether the labels must have each class that `class_map` renames.
        point_size: Side in px of the square that replaces a point of GeoJSON; by default, points
            are refused.

    Raises:
        LabelsError: The labels cannot be read or do not fit the scenes. The message names the
            file, the value and the remedy.
        SceneError: swath cannot read a scene.
    """
    source = labels or _labels_with(images)
    form = _form_of(source, images) if form == "auto" else form
    names = class_map or {}
    required = names if all_mapped else {}
    if form == "coco":
        found, known = read_coco(read_text(source), source=source, images=images)
        check_renamed(required, known, source)
        return _collect(*rename_classes(found, known, names), classes, source)
    scenes = find_scenes(images)
    default = _default_class(classes, spacenet.BUILDING if form == "spacenet" else _OBJECT)
    if source.lower().endswith(".csv"):
        found = spacenet.read_summary(source, scenes, class_name=default or spacenet.BUILDING)
    else:
        files = _files(source, scenes, form)
        found = read_geojson(files, scenes, default_class=default, point_size=point_size)
    named = class_list(found)
    check_renamed(required, named, source)
    return _collect(*rename_classes(found, named, names), classes, source)


def _collect(
    found: Sequence[SceneLabels], known: Sequence[str], wanted: Sequence[str] | None, source: str
) -> Collection:
    """Return a collection of labels, with outlines only if every label has one."""
    classes = known if wanted is None else wanted
    outlined = all(label.outline is not None for scene in found for label in scene.labels)
    check_class_names(classes, source)
    sums = digests([scene.scene.uri for scene in found])
    _refuse_same_bytes(found, sums)
    return Collection.of(
        (
            labelled_scene(scene, classes, sha256=sha256, outlined=outlined)
            for scene, sha256 in zip(found, sums, strict=True)
        ),
        classes,
    )


def _refuse_same_bytes(found: Sequence[SceneLabels], sums: Sequence[str]) -> None:
    """Raise an error if two scenes have the same bytes.

    The scene's objects would count twice, and it could be in both the training and the test data.
    """
    first: dict[str, str] = {}
    for scene, sha256 in zip(found, sums, strict=True):
        uri = scene.scene.uri
        other = first.setdefault(sha256, uri)
        if other != uri:
            raise LabelsError(
                f"{other} and {uri} hold the same bytes, so one scene is given twice; remove one "
                "of them and its labels"
            )


def _labels_with(images: str) -> str:
    """Return the address of the labels in a folder of scenes.

    Raises:
        LabelsError: The folder has no labels, or more than one set of labels.
    """
    files, maps = listed(images, [".json"]), listed(images, [".geojson"])
    if len(files) == 1 and not maps:
        return files[0]
    if maps and not files:
        return images
    found = spacenet.find_labels(images)
    if found and not files and not maps:
        return found
    has = ", ".join([*files, *maps][:5]) or "none"
    raise LabelsError(f"{images} should hold the labels of its scenes, and has {has}; name them")


def _form_of(source: str, images: str) -> Form:
    if source.lower().endswith(".csv"):
        return "spacenet"
    if source.lower().endswith((".json", ".geojson")):
        members = decode_json(
            read_text(source), _Members, source=source, form="labels are COCO or GeoJSON"
        )
        return "coco" if bytes(members.images) else "geojson"
    scenes = {stem(uri) for uri in find_scenes(images)}
    named = [stem(uri) for uri in _maps(source)]
    chips = all(map(tile_id, named)) and not scenes.intersection(named)
    return "spacenet" if chips else "geojson"


def _files(source: str, scenes: Sequence[str], form: Form) -> dict[str, str] | str:
    """Return the label file of each scene, or the one label file of all scenes."""
    if source.lower().endswith((".json", ".geojson")):
        return source
    found = _maps(source)
    pair = spacenet.footprint_files if form == "spacenet" else match
    return dict(pair(found, scenes))


def _maps(folder: str) -> list[str]:
    found = listed(folder, [".geojson"]) or listed(folder, [".json"])
    if not found:
        raise LabelsError(
            f"there are no labels in {folder}: it should be a COCO or GeoJSON file, a summary of "
            "SpaceNet (CSV), or a folder of GeoJSON files"
        )
    return found


def _default_class(classes: Sequence[str] | None, usual: str) -> str | None:
    """Return the class of an object that states none, or None if it must state one."""
    if classes is None:
        return usual
    return classes[0] if len(classes) == 1 else None
