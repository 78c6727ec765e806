"""Read labeled scenes as a run reads them: the model's bands, on the model's pixel grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from swath.errors import LabelsError
from swath.items import SceneSources
from swath.items.scene_arguments import parse_scene
from swath.labels.files import check_same_bands, map_concurrently
from swath.labels.objects import Objects
from swath.raster.assets.open import OpenedScene, open_model_scene
from swath.raster.assets.stack import pixel_scale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from swath.labels.collection import Collection, LabeledScene
    from swath.raster.assets.stack import BandNeeds, BandStack
    from swath.raster.scene import Scene
    from swath.raster.scene_info import SceneInfo


@dataclass(frozen=True, slots=True)
class ModelScene:
    """Scene with the bands and the pixel grid that a model reads."""

    uri: str
    needs: BandNeeds
    info: SceneInfo
    """Header of the scene on the grid."""
    bands: tuple[int, ...]
    """Numbers of the bands in the scene, from 1, in the model's order."""
    stack: BandStack | None
    """Files and grid of the scene; None for one file on its own grid."""

    @property
    def scale(self) -> tuple[float, float]:
        """Width and height of a grid px in scene px, which are those of the labels."""
        return pixel_scale(self.stack)

    @property
    def read_pixels(self) -> float:
        """Number of scene px that are read for one grid px, at least 1."""
        return max(1.0, self.scale[0] * self.scale[1])

    @contextmanager
    def open(self) -> Iterator[Scene]:
        """Open the same files on the same grid, and close them on exit.

        Raises:
            SceneError: A file is missing or damaged.
            SceneChangedError: A file of a stack has changed.
            TransientError: S3 did not answer.
        """
        with open_model_scene(self.uri, self.needs, stack=self.stack) as opened:
            yield opened.scene


@contextmanager
def open_labeled_scene(uri: str, needs: BandNeeds) -> Iterator[OpenedScene]:
    """Open a scene as a run opens it, and close it on exit.

    Args:
        uri: Address of the scene.
        needs: Requirements of the model for the bands.

    Raises:
        SceneError: As `open_model_scene` raises it.
        TransientError: S3 did not answer.
    """
    with open_model_scene(parse_scene(uri, SceneSources()), needs) as opened:
        yield opened


def read_model_scenes(uris: Sequence[str], needs: BandNeeds) -> list[ModelScene]:
    """Return scenes with the bands and the grid that a model reads, in the order of `uris`.

    Raises:
        SceneError: A scene is missing, lacks a band, or cannot be put on the model's grid.
        LabelsError: The scenes have different numbers of bands, and some bands have no name.
    """
    scenes = map_concurrently(partial(_read_scene, needs=needs), uris)
    check_same_bands([scene.info for scene in scenes])
    return scenes


def to_model_grid(collection: Collection, scenes: Sequence[ModelScene]) -> Collection:
    """Return a collection whose objects are in px of the model's grid.

    The digest is that of the labels in scene px.

    Args:
        collection: Labeled scenes, in px of their own.
        scenes: The same scenes on the model's grid, in the same order.

    Raises:
        LabelsError: A scene's size differs from the size that its labels state.
    """
    on_grid = map(_to_grid, collection.scenes, scenes)
    return replace(collection, scenes=tuple(on_grid))


def _read_scene(uri: str, needs: BandNeeds) -> ModelScene:
    with open_labeled_scene(uri, needs) as opened:
        return ModelScene(uri, needs, opened.scene.info, tuple(opened.bands), opened.stack)


def _to_grid(labeled: LabeledScene, scene: ModelScene) -> LabeledScene:
    """Return a labeled scene in px of the grid, with objects clipped at the grid's edges."""
    _check_size(labeled, scene)
    if scene.scale == (1.0, 1.0):
        return labeled
    x, y = scene.scale

    def convert(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return points / (x, y)

    whole = Objects(
        boxes=labeled.boxes,
        classes=labeled.classes,
        crowd=labeled.crowd,
        outlines=labeled.outlines,
    ).transform(convert)
    areas = None if labeled.areas is None else labeled.areas / (x * y)
    width, height = scene.info.width, scene.info.height
    objects = replace(whole, areas=areas).clip((0, 0, width, height), min_visible_share=0)
    return replace(
        labeled,
        width=width,
        height=height,
        boxes=objects.boxes,
        classes=objects.classes,
        crowd=objects.crowd,
        outlines=objects.outlines,
        areas=objects.areas,
    )


def _check_size(labeled: LabeledScene, scene: ModelScene) -> None:
    """Check that the labels state the size of the scene, which is rounded to px of the grid."""
    info = scene.info
    sizes = ((info.width, labeled.width), (info.height, labeled.height))
    for (on_grid, stated), scale in zip(sizes, scene.scale, strict=True):
        rounding = 0.0 if scale == 1 else scale / 2
        # The grid has at least one px, however small the scene is.
        if abs(on_grid * scale - stated) > rounding and (on_grid > 1 or scale == 1):
            raise LabelsError(
                f"{labeled.uri} had {labeled.width} x {labeled.height} px when its labels were "
                f"read, and has {info.width * scene.scale[0]:.0f} x "
                f"{info.height * scene.scale[1]:.0f} px now; give the labeled scene"
            )
