"""Run a network in training on whole scenes, by the engine that will run its package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from swath.detection.detections import Detections
from swath.detection.engine import Inference
from swath.errors import TrainingError, TrainingInterruptedError
from swath.models.runtimes.base import cpu_workers
from swath.models.runtimes.torch import TorchModel
from swath.raster.scene import Scene
from swath.raster.tiles import Grid
from swath.training.data.model_scenes import open_labeled_scene
from swath.training.package_spec import to_model_description

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.packaging.write_mlm import PackageSpec
    from swath.raster.assets.open import OpenedScene
    from swath.raster.tiles import Tile
    from swath.training.networks import Network

OnLabels = Callable[[Scene, "Tile", "NDArray[np.uint8]"], None]


class ScenePredictor:
    """Runs a network with its current weights on whole scenes."""

    def __init__(
        self,
        network: Network,
        spec: PackageSpec,
        device: torch.device,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare the network's exported form.

        Args:
            network: Network, which is not changed.
            spec: Package spec, which says how to decode the network's output.
            device: Device to compute on.
            stop: Called repeatedly; once it returns True, TrainingInterruptedError is raised.
        """
        self.description: ModelDescription = to_model_description(spec)
        self._device, self._stop = device, stop
        module: Any = network.exported().eval()
        on_gpu = device.type == "cuda"
        self._model = TorchModel(
            module.to(device, memory_format=torch.channels_last),
            self.description,
            device,
            batch_size=spec.batch_size if on_gpu else 1,
            workers=1 if on_gpu else cpu_workers()[0],
            channels_last=True,
        )

    def predict(self, uri: str, on_labels: OnLabels | None = None) -> Detections:
        """Return the network's detections in a scene, in px of the model's grid, after stitching.

        Args:
            uri: Address of the scene.
            on_labels: Function that is called with each pixel's class in each tile's core, for a
                segmenter whose spec has masks.

        Raises:
            SceneError: The scene cannot be opened.
            TrainingError: A tile cannot be read, or the network's output for it has NaN.
            TrainingInterruptedError: `stop` returned True.
        """
        with (
            _threads_for_tiles(self._device),
            open_labeled_scene(uri, self.description.band_needs) as opened,
        ):
            inference = self._inference(opened, on_labels)
            parts = []
            for detections in inference.run(range(inference.grid.count)):
                parts.append(detections)
                if self._stop():
                    raise TrainingInterruptedError(f"training stopped during inference on {uri}")
            if inference.failures:
                first = inference.failures[0]
                raise TrainingError(
                    f"{inference.tiles.failed} of {inference.tiles.planned} tiles of {uri} failed, "
                    f"the first at column {first.column}, row {first.row}: {first.cause}"
                )
            detections = Detections.concatenate(parts)
            is_flagged = detections.flags != 0
            stitched = inference.task.stitch(detections.take(is_flagged))
        return Detections.concatenate([detections.take(~is_flagged), stitched]).sorted_by_tile()

    def _inference(self, opened: OpenedScene, on_labels: OnLabels | None) -> Inference:
        scene, description = opened.scene, self.description
        grid = Grid(scene.info.width, scene.info.height, description.tile_size, description.overlap)
        return Inference(
            scene=scene,
            bands=opened.bands,
            grid=grid,
            description=description,
            model=self._model,
            on_labels=(lambda tile, labels: on_labels(scene, tile, labels)) if on_labels else None,
        )


@contextmanager
def _threads_for_tiles(device: torch.device) -> Iterator[None]:
    """Set torch's threads per tile on a CPU as the engine does, inside the block."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(cpu_workers()[1])
    try:
        yield
    finally:
        torch.set_num_threads(before)
