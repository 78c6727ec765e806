"""Read labeled scenes from COCO or GeoJSON files, or from the layout of SpaceNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from swath.errors import LabelsError
from swath.labels import spacenet
from swath.labels.coco import read_coco
from swath.labels.collection import Collection
from swath.labels.files import hash_files, list_files, list_scenes, split_documents, stem
from swath.labels.formats import LabelFormat
from swath.labels.geojson import read_geojson
from swath.labels.records import SceneLabels, check_class_names, class_list, labeled_scene
from swath.labels.renaming import check_renamed, rename_classes
from swath.labels.scene_matching import match_label_files, tile_id
from swath.labels.text import decode_json, read_text

_DEFAULT_CLASS = "object"
"""Class of objects without a stated class."""


class _Members(msgspec.Struct):
    """Members that distinguish a COCO file from a GeoJSON file."""

    images: msgspec.Raw = msgspec.Raw()
    features: msgspec.Raw = msgspec.Raw()


def read_collection(
    labels: str | None,
    images: str,
    *,
    form: LabelFormat = "auto",
    classes: Sequence[str] | None = None,
    class_map: Mapping[str, str] | None = None,
    all_mapped: bool = True,
    point_size: float | None = None,
    bands: Sequence[str] = (),
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
        bands: Names of the model's bands, which scenes of several files need: the labels are in px
            of their finest band.

    Raises:
        LabelsError: The labels cannot be read or do not fit the scenes. The message names the
            file, the value and the remedy.
        SceneError: swath cannot read a scene.
    """
    source = labels or _locate_labels(images)
    form = _detect_format(source, images) if form == "auto" else form
    names = class_map or {}
    required = names if all_mapped else {}
    if form == "coco":
        scene_labels, known = read_coco(
            read_text(source), source=source, images=images, bands=bands
        )
        check_renamed(required, known, source)
        return _collect(*rename_classes(scene_labels, known, names), classes, source, bands)
    scenes = list_scenes(images)
    default = _default_class(classes, spacenet.BUILDING if form == "spacenet" else _DEFAULT_CLASS)
    if source.lower().endswith(".csv"):
        scene_labels = spacenet.read_summary(
            source, scenes, class_name=default or spacenet.BUILDING, bands=bands
        )
    else:
        files = _label_files(source, scenes, form)
        scene_labels = read_geojson(
            files, scenes, default_class=default, point_size=point_size, bands=bands
        )
    label_classes = class_list(scene_labels)
    check_renamed(required, label_classes, source)
    return _collect(*rename_classes(scene_labels, label_classes, names), classes, source, bands)


def _collect(
    scene_labels: Sequence[SceneLabels],
    known: Sequence[str],
    wanted: Sequence[str] | None,
    source: str,
    bands: Sequence[str],
) -> Collection:
    """Return a collection of labels, with outlines only if every label has one."""
    classes = known if wanted is None else wanted
    outlined = all(label.outline is not None for scene in scene_labels for label in scene.labels)
    check_class_names(classes, source)
    digests = hash_files([scene.scene.uri for scene in scene_labels], bands)
    _refuse_same_bytes(scene_labels, digests)
    return Collection.from_scenes(
        (
            labeled_scene(scene, classes, sha256=sha256, outlined=outlined)
            for scene, sha256 in zip(scene_labels, digests, strict=True)
        ),
        classes,
    )


def _refuse_same_bytes(scene_labels: Sequence[SceneLabels], digests: Sequence[str]) -> None:
    """Raise an error if two scenes have the same bytes.

    The scene's objects would count twice, and it could be in both the training and the test data.
    """
    first: dict[str, str] = {}
    for scene, sha256 in zip(scene_labels, digests, strict=True):
        uri = scene.scene.uri
        other = first.setdefault(sha256, uri)
        if other != uri:
            raise LabelsError(
                f"{other} and {uri} have the same bytes, so one scene occurs twice; remove one "
                "of them and its labels"
            )


def _locate_labels(images: str) -> str:
    """Return the address of the labels in a folder of scenes.

    Raises:
        LabelsError: The folder has no labels, or more than one set of labels.
    """
    _, json_files = split_documents(list_files(images, [".json"]))
    geojson_files = list_files(images, [".geojson"])
    if len(json_files) == 1 and not geojson_files:
        return json_files[0]
    if geojson_files and not json_files:
        return images
    source = spacenet.locate_labels(images)
    if source and not json_files and not geojson_files:
        return source
    has = ", ".join([*json_files, *geojson_files][:5]) or "none"
    raise LabelsError(
        f"{images} should contain one set of labels, but has {has}; give the address of the labels"
    )


def _detect_format(source: str, images: str) -> LabelFormat:
    if source.lower().endswith(".csv"):
        return "spacenet"
    if source.lower().endswith((".json", ".geojson")):
        members = decode_json(
            read_text(source), _Members, source=source, form="labels are COCO or GeoJSON"
        )
        return "coco" if bytes(members.images) else "geojson"
    scene_stems = {stem(uri) for uri in list_scenes(images)}
    label_stems = [stem(uri) for uri in _list_label_files(source)]
    are_chips = all(map(tile_id, label_stems)) and not scene_stems.intersection(label_stems)
    return "spacenet" if are_chips else "geojson"


def _label_files(source: str, scenes: Sequence[str], form: LabelFormat) -> dict[str, str] | str:
    """Return the label file of each scene, or the one label file of all scenes."""
    if source.lower().endswith((".json", ".geojson")):
        return source
    files = _list_label_files(source)
    pair = spacenet.footprint_files if form == "spacenet" else match_label_files
    return dict(pair(files, scenes))


def _list_label_files(folder: str) -> list[str]:
    files = list_files(folder, [".geojson"]) or split_documents(list_files(folder, [".json"]))[1]
    if not files:
        raise LabelsError(
            f"there are no labels in {folder}: give a COCO or GeoJSON file, a SpaceNet "
            "summary (CSV), or a folder of GeoJSON files"
        )
    return files


def _default_class(classes: Sequence[str] | None, usual: str) -> str | None:
    """Return the class of objects without a stated class; None if each object must state one."""
    if classes is None:
        return usual
    return classes[0] if len(classes) == 1 else None
