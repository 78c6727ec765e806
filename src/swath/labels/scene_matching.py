"""Which scene a file of labels is of, told by their names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from swath.errors import LabelsError
from swath.labels.files import stem

_NUMBER = re.compile(r"\d+|(img|tile|chip)\d*", re.IGNORECASE)


def tile_id(name: str) -> str:
    """What names a chip: the run of numbers at the end of its name; empty where there is none.

    Of `SN6_Train_AOI_11_Rotterdam_SAR-Intensity_20190822070610_20190822070846_tile_3721`, and of
    the same with `Buildings`, it is `20190822070610_20190822070846_tile_3721`.
    """
    parts = name.split("_")
    first = len(parts)
    while first and _NUMBER.fullmatch(parts[first - 1]):
        first -= 1
    return "_".join(parts[first:])


def by_tile(scenes: Sequence[str]) -> Mapping[str, str]:
    """The scenes by tile id.

    Raises:
        LabelsError: one has none, or two have the same.
    """
    found: dict[str, str] = {}
    for uri in scenes:
        name = tile_id(stem(uri))
        if not name:
            raise LabelsError(
                f"{uri} does not end in the number of a tile, as chips of SpaceNet do; "
                "name each chip after its tile, such as …_tile_3721.tif"
            )
        if name in found:
            raise LabelsError(
                f"{found[name]} and {uri} are both of the tile {name}; give one kind of image, "
                "of one area, at a time"
            )
        found[name] = uri
    return found


def match(labels: Sequence[str], scenes: Sequence[str]) -> Mapping[str, str]:
    """The file of labels of each scene that has one.

    A file is of the scene of its own name; or of its tile id, if it has one; or else of the scene
    that has the most parts of its name (between `_`) in common with it from the beginning.

    Raises:
        LabelsError: a file is of no scene, or of several, or a scene has two files.
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    for uri in scenes:
        by_name[stem(uri)].append(uri)
    found: dict[str, str] = {}
    for file in labels:
        scene = _scene_of(file, by_name.get(stem(file), []), scenes)
        if scene in found:
            raise LabelsError(
                f"{found[scene]} and {file} are both labels of {scene}; put them in one file, or "
                "name each after its scene"
            )
        found[scene] = file
    return found


def _scene_of(file: str, same: Sequence[str], scenes: Sequence[str]) -> str:
    candidates = same
    name = tile_id(stem(file))
    if not candidates and name:
        candidates = [uri for uri in scenes if tile_id(stem(uri)) == name]
    elif not candidates:
        shared = Counter({uri: _shared(stem(file), stem(uri)) for uri in scenes})
        most = max(shared.values())
        candidates = [uri for uri, count in shared.items() if count == most > 0]
    if len(candidates) == 1:
        return candidates[0]
    of = f"of {len(candidates)} scenes, such as {candidates[0]}" if candidates else "of no scene"
    raise LabelsError(
        f"{file} could be the labels {of}, to go by its name; name it after its scene, "
        "or remove it if the scene is not here"
    )


def _shared(one: str, other: str) -> int:
    count = 0
    for mine, theirs in zip(one.split("_"), other.split("_"), strict=False):
        if mine != theirs:
            break
        count += 1
    return count
