"""Open a scene for a program that names its bands, as `swath.open_scene` does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from swath.errors import SceneError
from swath.items import SceneItem, SceneSources, item_from_files
from swath.items.scene_arguments import SceneArgument, parse_scene
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds
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
        item = parsed if isinstance(parsed, SceneItem) else item_from_files([parsed], allowed)
        return _open_item(item, bands)
    if isinstance(parsed, str):
        return open_scene(parsed)
    raise SceneError(
        f"{parsed.title} is a scene of several files; name the bands to open, in order: "
        'open_scene(…, bands=["B04", "B03"])'
    )


@contextmanager
def _open_item(item: SceneItem, bands: Sequence[str]) -> Iterator[Scene]:
    with open_model_scene(item, BandNeeds(tuple(bands))) as opened:
        yield opened.scene
