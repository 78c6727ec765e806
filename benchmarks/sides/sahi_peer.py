"""Run sahi's sliced prediction with the same network, by an adapter as in sahi's guide."""

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
from benchmarks.models.package import OVERLAP, SCORE_THRESHOLD, TILE_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WARM_UP_CALLS = 2


class Adapter(DetectionModel):
    """Adapter that runs the network on tiles and returns detections above the threshold."""

    def load_model(self) -> None:
        """Do nothing: the model is an argument."""

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
        predictions = self._original_predictions[
            :, self._original_predictions[4] >= SCORE_THRESHOLD
        ]
        rows, cols = self._shape
        top_left = (predictions[:2] - predictions[2:4] / 2).clip(0)
        bottom_right = np.minimum(predictions[:2] + predictions[2:4] / 2, [[cols], [rows]])
        boxes = np.concatenate([top_left, bottom_right]).T.tolist()
        self._object_prediction_list_per_image = [
            [
                ObjectPrediction(
                    bbox=box,
                    score=score,
                    category_id=0,
                    category_name="thing",
                    shift_amount=_unwrap(shift_amount_list) or [0, 0],
                    full_shape=_unwrap(full_shape_list),
                )
                for box, score in zip(boxes, predictions[4].tolist(), strict=True)
            ]
        ]


def defaults(architecture: str, weights: str, scene: str) -> Sample:
    """Measure sahi's defaults: the torch model, with a pass over the whole image.

    Args:
        architecture: Name of the architecture.
        weights: Path of the weights as `.npz`.
        scene: Path of the scene.
    """
    import torch  # noqa: PLC0415

    from benchmarks.models.torch_network import Detector  # noqa: PLC0415

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    arrays = dict(np.load(weights))

    @functools.cache
    def detector(side: int) -> Detector:
        module: Detector = Detector(ARCHITECTURES[architecture], arrays, side).eval()
        return module

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(detector(pixels.shape[-1])(torch.from_numpy(pixels)))

    return _predict(infer, scene, whole_image=True)


def same_runtime(package: str, scene: str) -> Sample:
    """Measure sahi with ONNX Runtime and without the pass over the whole image."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    model = Path(package, "model.onnx")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"image": pixels})[0])

    return _predict(infer, scene, whole_image=False)


def _predict(infer: Any, scene: str, *, whole_image: bool) -> Sample:
    model = Adapter(model=infer, confidence_threshold=SCORE_THRESHOLD, device="cpu")
    for _ in range(_WARM_UP_CALLS):
        model.perform_inference(np.zeros((TILE_SIZE, TILE_SIZE, 3), np.uint8))
    _compile_postprocessing()
    with Meter() as meter:
        prediction = get_sliced_prediction(
            scene,
            model,
            slice_height=TILE_SIZE,
            slice_width=TILE_SIZE,
            overlap_height_ratio=OVERLAP / TILE_SIZE,
            overlap_width_ratio=OVERLAP / TILE_SIZE,
            perform_standard_pred=whole_image,
            verbose=0,
        )
    durations = {
        name: round(seconds, 3) for name, seconds in prediction.durations_in_seconds.items()
    }
    return meter.sample(detections=len(prediction.object_prediction_list), parts=durations)


def _compile_postprocessing() -> None:
    """Let numba compile before the measurement."""
    objects = [
        ObjectPrediction(bbox=[x, 0, x + 20, 20], score=0.9, category_id=0, category_name="thing")
        for x in range(0, 400, 15)
    ]
    GreedyNMMPostprocess(match_threshold=0.5, match_metric="IOS", class_agnostic=False)(objects)


def _unwrap(argument: Any) -> Any:
    """Return the only entry of an argument from sahi, which may be in a list."""
    return argument[0] if argument and isinstance(argument[0], list | tuple) else argument
