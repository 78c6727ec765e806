"""Models in ONNX form, run by ONNX Runtime."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from swath.errors import PackageError
from swath.runtime import available_cpus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.mlm import ModelDescription
    from swath.package import Weights

logger = logging.getLogger(__name__)

_ERRORS_ONLY = 3
# TF32 keeps ten bits of the mantissa: enough for training, not for the same result as on a CPU.
_GPU = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
_CPU = "CPUExecutionProvider"


class OnnxModel:
    """An inference session."""

    def __init__(self, session: onnxruntime.InferenceSession, batch_size: int) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._output = session.get_outputs()[0].name
        self.batch_size = batch_size

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The model's first output."""
        (raw,) = self._session.run([self._output], {self._input: batch})
        return np.asarray(raw, dtype=np.float32)


def load(weights: Weights, description: ModelDescription) -> OnnxModel:
    """Load weights; on the GPU where this build of ONNX Runtime has one.

    Raises:
        PackageError: it is no ONNX model, or takes an input of another shape.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _ERRORS_ONLY
    gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    try:
        session = onnxruntime.InferenceSession(
            weights.path, options, providers=[_GPU, _CPU] if gpu else [_CPU]
        )
    except Exception as error:
        # The library's errors have no common base but Exception.
        raise PackageError(f"{weights.path} cannot be run: {error}") from error
    on_gpu = "CUDAExecutionProvider" in session.get_providers()
    if gpu and not on_gpu:
        logger.warning("no GPU could be used for %s; it runs on the CPU", weights.path)
    fixed = _check_input(session, weights, description)
    # A CPU gains nothing from batches, and one tile at a time gives the same result in any company.
    return OnnxModel(session, fixed or (description.batch_size if on_gpu else 1))


def _check_input(
    session: onnxruntime.InferenceSession, weights: Weights, description: ModelDescription
) -> int | None:
    """The batch size that the model insists on, if it does."""
    inputs = session.get_inputs()
    expected = (len(description.bands), description.tile_size, description.tile_size)
    if len(inputs) != 1 or len(inputs[0].shape) != 1 + len(expected):
        raise PackageError(
            f"{weights.path} takes inputs {[(i.name, i.shape) for i in inputs]}; "
            "swath feeds one, (batch, bands, height, width)"
        )
    batch, *shape = inputs[0].shape
    for given, wanted in zip(shape, expected, strict=True):
        if isinstance(given, int) and given != wanted:
            raise PackageError(
                f"{weights.path} takes tiles of {shape} (bands, height, width); "
                f"mlm.json says {list(expected)}"
            )
    return batch if isinstance(batch, int) else None
