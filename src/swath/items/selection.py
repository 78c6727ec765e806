"""Select the assets that hold a model's bands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from swath.errors import SceneError
from swath.items.addresses import shown
from swath.items.band_names import names_by_sensor, same_number, tokens, unusual_name
from swath.items.scene_item import (
    ItemAsset,
    ItemBand,
    SceneItem,
    SelectedBand,
    describe_assets,
)

_RENDERED = {"visual", "tci", "preview", "overview", "thumbnail", "browse", "rendered"}
"""Parts of keys of assets that are rendered for people, with scaled numbers."""
_RENDERED_ROLE = "visual"
_DATA_ROLE = "data"
_COG_MARKS = ("cloud-optimized",)
_JPEG2000_TYPE = "image/jp2"
_GEOTIFF_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/x.geotiff")
_EXAMPLE = '{{"bands": {{"{}": "URI"}}}}'
_POSITION = re.compile(r"(b(and)?[-_ ]?[0-9]+)?", re.IGNORECASE)
_Candidate = tuple[ItemAsset, int, ItemBand]
"""Asset, number of the band in it from 1, and the band."""


def select_assets(item: SceneItem, wanted: Sequence[str]) -> list[SelectedBand]:
    """Return the band of an asset for each of the model's names, in the model's order.

    Each name is compared with the names of the bands, then with their common names, then with the
    keys of the assets; in a list of files, with the parts of the files' names. If several assets
    answer, the first of these differences decides: the file may be read; the role is `data`, and
    not `visual`; COG before GeoTIFF before JPEG 2000; the smaller ground sampling distance.

    Args:
        item: Scene.
        wanted: Names of the model's bands.

    Raises:
        SceneError: A band is missing or ambiguous, two names select the same band, or the asset
            may not be read.
    """
    selected = [_select(item, name) for name in wanted]
    taken: dict[tuple[str, int], str] = {}
    for one in selected:
        other = taken.setdefault((one.href, one.number), one.name)
        if other != one.name:
            raise SceneError(
                f"{shown(item.title)} has one band, {shown(one.key)}, for both {other} and "
                f"{one.name} of the model; name each band's file: {_EXAMPLE.format(one.name)}"
            )
    return selected


def undescribed_asset(item: SceneItem) -> ItemAsset | None:
    """Return the only data asset of an Item that does not state what its bands are.

    The header of such a file states more than the Item, as for a scene of one file. Names such as
    `b1` and `band2` state no more than a position.

    Returns:
        The asset; None if there are several or none, if the Item describes the bands, if swath may
        not read the file, or if the scene is no Item.
    """
    data = [asset for asset in item.assets if _role_rank(asset) == 0]
    candidates = data or [asset for asset in item.assets if _role_rank(asset) == 1]
    if not item.item_id or len(candidates) != 1 or candidates[0].refusal:
        return None
    (asset,) = candidates
    is_described = any(
        band.common_name or not _POSITION.fullmatch(band.name) for band in asset.bands
    )
    return None if is_described else asset


def selection_warnings(item: SceneItem, selected: Sequence[SelectedBand]) -> list[str]:
    """Return warnings about the document, and about names and units of the selected bands."""
    doubts: dict[str, list[str]] = {}
    for one in selected:
        if one.band.doubt:
            doubts.setdefault(one.band.doubt, []).append(one.name)
    about_bands = [
        f"{shown(item.title)}: {', '.join(names)}: {doubt}" for doubt, names in doubts.items()
    ]
    return [*item.warnings, *about_bands, *_number_warnings(item, selected)]


def _number_warnings(item: SceneItem, selected: Sequence[SelectedBand]) -> Iterator[str]:
    for one in selected:
        if usual := unusual_name(one.name, one.band.common_name):
            yield (
                f"{shown(item.title)}: {one.name} is {one.band.common_name}, where the number "
                f"usually means {usual}; if the model was trained on that, name its bands by their "
                "common names"
            )


def _select(item: SceneItem, name: str) -> SelectedBand:
    for candidates in _tiers(item, name):
        if candidates:
            asset, number, band = _best(item, name, candidates)
            return SelectedBand(
                name=name,
                key=asset.key,
                href=asset.href,
                access=asset.access,
                number=number,
                expects_one_band=not asset.bands,
                band=band,
            )
    raise SceneError(
        f"{shown(item.title)} has no band {name}; it has {describe_assets(item.assets)}. Use a "
        f"model for these bands, or name the file: {_EXAMPLE.format(name)}"
    )


def _tiers(item: SceneItem, name: str) -> Iterator[list[_Candidate]]:
    """Yield the candidates for a name by each manner of matching, the surest first."""
    wanted = name.casefold()
    bands = [
        (asset, number, band) for asset in item.assets for number, band in enumerate(asset.bands, 1)
    ]
    yield [one for one in bands if one[2].name.casefold() == wanted]
    yield [one for one in bands if _is_same_number(name, one[2].name, one, item)]
    yield [one for one in bands if one[2].common_name.casefold() == wanted]
    by_sensor = names_by_sensor(name, item.sensor)
    yield [
        one
        for one in bands
        if {one[2].common_name.casefold(), one[2].name.casefold()} & set(by_sensor)
    ]
    # The key of an asset with several bands names none of them.
    single = [_only_band(asset) for asset in item.assets if len(asset.bands) <= 1]
    yield [one for one in single if one[0].key.casefold() == wanted]
    yield [one for one in single if tokens(one[0].key)[-1] == wanted]
    yield [one for one in single if _is_same_number(name, tokens(one[0].key)[-1], one, item)]
    if item.named_by_files:
        yield [one for one in single if wanted in tokens(one[0].key)]


def _only_band(asset: ItemAsset) -> _Candidate:
    return asset, 1, asset.bands[0] if asset.bands else ItemBand()


def _is_same_number(wanted: str, name: str, one: _Candidate, item: SceneItem) -> bool:
    return same_number(wanted, name, one[2].common_name, item.sensor)


def _best(item: SceneItem, name: str, candidates: list[_Candidate]) -> _Candidate:
    """Return the candidate that is preferred to all others.

    Raises:
        SceneError: Two candidates are equal by every rule, or none may be read.
    """
    ranked = sorted(candidates, key=_rank)
    best = ranked[0]
    if best[0].refusal:
        raise SceneError(f"{shown(item.title)}: {shown(best[0].key)}: {best[0].refusal}")
    equal = [one for one in ranked if _rank(one) == _rank(best)]
    if len(equal) > 1:
        shown_candidates = ", ".join(_describe(one) for one in equal[:10])
        raise SceneError(
            f"{shown(item.title)} has {len(equal)} bands for {name}: {shown_candidates}; name the "
            f"file of each band: {_EXAMPLE.format(name)}"
        )
    return best


def _rank(candidate: _Candidate) -> tuple[bool, int, int, float]:
    asset, _, band = candidate
    gsd = band.gsd or asset.gsd or math.inf
    return bool(asset.refusal), _role_rank(asset), _format_rank(asset.media_type), gsd


def _role_rank(asset: ItemAsset) -> int:
    if _RENDERED_ROLE in asset.roles or _RENDERED & set(tokens(asset.key)):
        return 3
    if _DATA_ROLE in asset.roles:
        return 0
    return 1 if not asset.roles else 2


def _format_rank(media_type: str) -> int:
    if media_type.startswith(_GEOTIFF_TYPES):
        return 0 if any(mark in media_type for mark in _COG_MARKS) else 1
    return 2 if media_type.startswith(_JPEG2000_TYPE) else 3


def _describe(candidate: _Candidate) -> str:
    asset, number, band = candidate
    return f"band {number} of {shown(asset.key)}" + (f" ({band.label})" if band.label else "")
