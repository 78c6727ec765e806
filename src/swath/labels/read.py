"""Labelled scenes from files: COCO, GeoJSON or the layout of SpaceNet."""

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
"""The class of what is only said to be there."""


class _Members(msgspec.Struct):
    """What tells a COCO file from a GeoJSON one."""

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
    """Labelled scenes. Objects are cut off at their scene's edges.

    Args:
        labels: a file or a folder of labels, an S3 URI or a local path; by default, what lies with
            the images.
        images: the folder of the scenes, or one scene.
        form: of the labels; by default, told from the files.
        classes: names of the classes, in the order wanted; by default those of the labels.
        class_map: other names of classes of the labels, such as the model's; `classes` are those.
        all_mapped: whether the labels must have each class of `class_map`.
        point_size: px along each side of the square that stands for a point of a GeoJSON.

    Raises:
        LabelsError: the labels cannot be read or do not fit the scenes; the message names the
            file, the value and the remedy.
        SceneError: a scene is not one that swath reads.
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
    """Return a collection of labels as they were found; outlines only if every label has one."""
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
    """Refuse a scene under two names: its objects would count twice, and be on both sides."""
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
    """The labels that lie with a folder of scenes.

    Raises:
        LabelsError: there are none, or it cannot be told which are meant.
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
    """The file of each scene, or the one of all."""
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
    """The class of an object that does not say its own; None where it has to."""
    if classes is None:
        return usual
    return classes[0] if len(classes) == 1 else None
