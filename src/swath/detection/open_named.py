"""Open a scene for a program that names its bands, as `swath.open_scene` does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from swath import storage
from swath.errors import SceneError
from swath.items import ItemAsset, ItemBand, SceneItem, SceneSources
from swath.items.scene_arguments import SceneArgument, parse_scene
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds
from swath.raster.interpretation import COLOR_BAND_NAMES, select_bands
from swath.raster.scene import open_scene

if TYPE_CHECKING:
    from swath.raster.scene import Scene


def open_named_bands(
    scene: SceneArgument, bands: Sequence[str] | None, sources: Collection[str]
) -> AbstractContextManager[Scene]:
    """Open a scene; `swath.open_scene` describes the arguments.

    Raises:
        SceneError: There is no such file, it cannot be read, or it lacks a band.
    """
    allowed = SceneSources.parse(sources)
    parsed = parse_scene(scene, allowed)
    if bands is not None:
        item = parsed if isinstance(parsed, SceneItem) else _describe_file(parsed, bands)
        return _open_item(item, bands)
    if isinstance(parsed, str):
        return open_scene(parsed)
    raise SceneError(
        f"{parsed.title} is a scene of several files; name the bands to open, in order: "
        'open_scene(…, bands=["B04", "B03"])'
    )


@contextmanager
def open_any(scene: SceneArgument, sources: Collection[str]) -> Iterator[Scene]:
    """Open a scene for display: its colors, or the bands of its first raster.

    Args:
        scene: Scene: a file, a list of files, a delivery or a STAC Item.
        sources: Prefixes of addresses where the files of an Item may lie, besides its folder.

    Raises:
        SceneError: There is no such scene, or it cannot be read.
    """
    parsed = parse_scene(scene, SceneSources.parse(sources))
    if isinstance(parsed, str):
        with open_scene(parsed) as opened:
            yield opened
        return
    with _open_item(parsed, _display_names(parsed)) as opened:
        yield opened


def _display_names(item: SceneItem) -> list[str]:
    """Return the names of red, green and blue, or of the first band of a scene of several files."""
    bands = [band for asset in item.assets for band in asset.bands]
    named = {name.casefold(): name for band in bands for name in (band.common_name, band.name)}
    colors = [
        next((named[name] for name in COLOR_BAND_NAMES[color] if name in named), "")
        for color in ("red", "green", "blue")
    ]
    if all(colors):
        return colors
    first = next((band.name or band.common_name for band in bands), "")
    return [first or next((asset.key for asset in item.assets), "")]


def _describe_file(uri: str, bands: Sequence[str]) -> SceneItem:
    """Return a file as a scene of one asset, whose bands are named as a model's would be."""
    with open_scene(uri) as scene:
        numbers, count = select_bands(scene.info, bands), scene.info.count
    names = dict(zip(numbers, bands, strict=True))
    described = tuple(ItemBand(name=names.get(number, "")) for number in range(1, count + 1))
    asset = ItemAsset(key=storage.file_name(uri), href=uri, bands=described)
    return SceneItem(uri=uri, assets=(asset,))


@contextmanager
def _open_item(item: SceneItem, bands: Sequence[str]) -> Iterator[Scene]:
    with open_model_scene(item, BandNeeds(tuple(bands))) as opened:
        yield opened.scene
