"""Match label files with scenes by their names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from swath.errors import LabelsError
from swath.labels.files import stem

_NUMBER = re.compile(r"\d+|(img|tile|chip)\d*", re.IGNORECASE)


def tile_id(name: str) -> str:
    """Return the tile id at the end of a chip's name; empty if there is none.

    The id consists of numbers and of the words img, tile and chip, joined by `_`.

    For example, the id of
    `SN6_Train_AOI_11_Rotterdam_SAR-Intensity_20190822070610_20190822070846_tile_3721` is
    `20190822070610_20190822070846_tile_3721`. The file whose name has `Buildings` instead of
    `SAR-Intensity` has the same id.

    Args:
        name: Name of the file without its suffix.
    """
    parts = name.split("_")
    first = len(parts)
    while first and _NUMBER.fullmatch(parts[first - 1]):
        first -= 1
    return "_".join(parts[first:])


def index_by_tile_id(scenes: Sequence[str]) -> Mapping[str, str]:
    """Return the addresses of files by tile id.

    Args:
        scenes: Addresses of scenes, or of label files.

    Raises:
        LabelsError: A file has no tile id, or two files have the same one.
    """
    matches: dict[str, str] = {}
    for uri in scenes:
        tile = tile_id(stem(uri))
        if not tile:
            raise LabelsError(
                f"{uri} does not end in a tile number, as SpaceNet chips do; "
                "name each chip after its tile, such as …_tile_3721.tif"
            )
        if tile in matches:
            raise LabelsError(
                f"{matches[tile]} and {uri} both belong to the tile {tile}; give the images of one "
                "kind and one area at a time"
            )
        matches[tile] = uri
    return matches


def match_label_files(labels: Sequence[str], scenes: Sequence[str]) -> Mapping[str, str]:
    """Return the label file of each scene that has one.

    A label file belongs to the scene of the same name. If there is none, it belongs to the scene of
    the same tile id. If the file has no tile id, the names are split at `_`. The file then belongs
    to the scene with which it shares the most leading parts.

    Args:
        labels: Addresses of the label files.
        scenes: Addresses of the scenes.

    Raises:
        LabelsError: A file matches no scene or several, or a scene has two files.
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    for uri in scenes:
        by_name[stem(uri)].append(uri)
    matches: dict[str, str] = {}
    for file in labels:
        scene = _matching_scene(file, by_name.get(stem(file), []), scenes)
        if scene in matches:
            raise LabelsError(
                f"{matches[scene]} and {file} are both labels of {scene}; put them in one file, or "
                "name each after its scene"
            )
        matches[scene] = file
    return matches


def _matching_scene(file: str, same: Sequence[str], scenes: Sequence[str]) -> str:
    candidates = same
    tile = tile_id(stem(file))
    if not candidates and tile:
        candidates = [uri for uri in scenes if tile_id(stem(uri)) == tile]
    elif not candidates:
        shared = Counter({uri: _count_shared_parts(stem(file), stem(uri)) for uri in scenes})
        most = max(shared.values())
        candidates = [uri for uri, count in shared.items() if count == most > 0]
    if len(candidates) == 1:
        return candidates[0]
    matched = f"{len(candidates)} scenes, such as {candidates[0]}" if candidates else "no scene"
    raise LabelsError(
        f"{file} has a name that matches {matched}; name it after its scene, "
        "or remove it if the scene is missing"
    )


def _count_shared_parts(one: str, other: str) -> int:
    count = 0
    for mine, theirs in zip(one.split("_"), other.split("_"), strict=False):
        if mine != theirs:
            break
        count += 1
    return count
