"""sahi's sliced prediction with the same network, written as its guide says an adapter is."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sahi.models.base import DetectionModel
from sahi.postprocess.combine import GreedyNMMPostprocess
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction

from benchmarks.meter import Meter, Sample
from benchmarks.models.network import ARCHITECTURES
from benchmarks.models.package import OVERLAP, THRESHOLD, TILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WARM = 2


class Adapter(DetectionModel):
    """Shows tiles to the network and makes objects of what is above the threshold."""

    def load_model(self) -> None:
        """Nothing: the model is given."""

    def set_model(self, model: Any, **_: Any) -> None:
        """Take a function from float32 (batch, 3, rows, cols) to (batch, 5, candidates)."""
        self.model = model
        self.category_mapping = {"0": "thing"}

    def perform_inference(self, image: NDArray[np.uint8]) -> None:
        """Run the network on an image (rows, cols, 3)."""
        pixels = np.ascontiguousarray(np.moveaxis(image, -1, 0)[None], np.float32)
        pixels /= np.float32(255)
        self._original_predictions = self.model(pixels)[0]
        self._shape = image.shape[:2]

    def _create_object_prediction_list_from_original_predictions(
        self, shift_amount_list: Any = None, full_shape_list: Any = None
    ) -> None:
        seen = self._original_predictions[:, self._original_predictions[4] >= THRESHOLD]
        rows, cols = self._shape
        low = (seen[:2] - seen[2:4] / 2).clip(0)
        high = np.minimum(seen[:2] + seen[2:4] / 2, [[cols], [rows]])
        boxes = np.concatenate([low, high]).T.tolist()
        self._object_prediction_list_per_image = [
            [
                ObjectPrediction(
                    bbox=box,
                    score=score,
                    category_id=0,
                    category_name="thing",
                    shift_amount=_first(shift_amount_list) or [0, 0],
                    full_shape=_first(full_shape_list),
                )
                for box, score in zip(boxes, seen[4].tolist(), strict=True)
            ]
        ]


def defaults(architecture: str, weights: str, scene: str) -> Sample:
    """As sahi does it by default: the torch model, and once more over the whole image.

    Args:
        architecture: by name.
        weights: an `.npz`.
        scene: the image.
    """
    import torch  # noqa: PLC0415

    from benchmarks.models.torch_network import Detector  # noqa: PLC0415

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    loaded = dict(np.load(weights))

    @functools.cache
    def detector(side: int) -> Detector:
        made: Detector = Detector(ARCHITECTURES[architecture], loaded, side).eval()
        return made

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(detector(pixels.shape[-1])(torch.from_numpy(pixels)))

    return _predict(infer, scene, whole_image=True)


def same_runtime(package: str, scene: str) -> Sample:
    """With ONNX Runtime inside, and without the pass over the whole image."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    model = Path(package, "model.onnx")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"image": pixels})[0])

    return _predict(infer, scene, whole_image=False)


def _predict(infer: Any, scene: str, *, whole_image: bool) -> Sample:
    model = Adapter(model=infer, confidence_threshold=THRESHOLD, device="cpu")
    for _ in range(_WARM):
        model.perform_inference(np.zeros((TILE, TILE, 3), np.uint8))
    _compile_postprocess()
    with Meter() as meter:
        found = get_sliced_prediction(
            scene,
            model,
            slice_height=TILE,
            slice_width=TILE,
            overlap_height_ratio=OVERLAP / TILE,
            overlap_width_ratio=OVERLAP / TILE,
            perform_standard_pred=whole_image,
            verbose=0,
        )
    parts = {name: round(seconds, 3) for name, seconds in found.durations_in_seconds.items()}
    return meter.sample(detections=len(found.object_prediction_list), parts=parts)


def _compile_postprocess() -> None:
    """Have numba compile before, not while we measure."""
    few = [
        ObjectPrediction(bbox=[x, 0, x + 20, 20], score=0.9, category_id=0, category_name="thing")
        for x in range(0, 400, 15)
    ]
    GreedyNMMPostprocess(match_threshold=0.5, match_metric="IOS", class_agnostic=False)(few)


def _first(given: Any) -> Any:
    """Return the entry of an argument of sahi's: one entry, or a list of one."""
    return given[0] if given and isinstance(given[0], list | tuple) else given
