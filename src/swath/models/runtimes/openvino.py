"""Run ONNX models in OpenVINO on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.errors import PackageError
from swath.models.runtimes.base import (
    BatchedModel,
    Outputs,
    check_float32,
    cpu_workers,
    split_batch,
    static_batch_size,
    translate_oom,
    weights_load_error,
)
from swath.models.runtimes.host_input import HostInput
from swath.models.runtimes.time_limit import TimeLimit
from swath.observability import telemetry

with telemetry.without_openvino_telemetry():
    import openvino
    from openvino.frontend import FrontEndManager

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.models.package import Weights
    from swath.models.runtimes.base import Runtime


class OpenVinoModel(BatchedModel):
    """Compiled model, with an inference request for each thread that calls it."""

    def __init__(
        self,
        compiled: openvino.CompiledModel,
        description: ModelDescription,
        *,
        limit: TimeLimit,
        batch_size: int,
        workers: int,
    ) -> None:
        super().__init__(batch_size, static_batch=True)
        self.workers = workers
        self._compiled, self._limit = compiled, limit
        self._host_input = HostInput(description)
        self._batched, self._outputs = description.batched, len(description.outputs)
        self._local = threading.local()

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Return the model's outputs for each tile."""
        with translate_oom(), self._limit.watch("answered"):
            results = self._request().infer([self._host_input(tiles, self.batch_size)])
        return split_batch(
            [np.asarray(output) for output in results.to_tuple()[: self._outputs]],
            tiles=len(tiles),
            batch=self.batch_size,
            batched=self._batched,
        )

    def _request(self) -> openvino.InferRequest:
        request: openvino.InferRequest | None = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        return request


def load(weights: Weights, description: ModelDescription, runtime: Runtime) -> OpenVinoModel:
    """Load ONNX weights.

    Args:
        weights: Weights in ONNX format.
        description: Description of the package.
        runtime: Runtime, which is ignored.

    Raises:
        PackageError: The file is no ONNX model, or its input has another shape.
    """
    del runtime
    workers, threads = cpu_workers()
    options = {
        # Without this hint, OpenVINO computes in bfloat16 if the CPU supports it.
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": str(workers),
        "INFERENCE_NUM_THREADS": str(workers * threads),
    }
    core = openvino.Core()
    try:
        # `core.read_model` would try all of its frontends, and those of other formats print errors.
        reader = FrontEndManager().load_by_framework("onnx")
        model = reader.convert(reader.load(str(weights.path)))
        inputs = [(i.any_name, _shape(i.partial_shape)) for i in model.inputs]
        batch = static_batch_size(weights.path, inputs, description) or 1
        check_float32(weights.path, model.inputs[0].element_type.get_type_name())
        # OpenVINO is faster with static shapes.
        size = description.tile_size
        model.reshape([batch, len(description.bands), size, size])
        compiled = core.compile_model(model, "CPU", options)
    except PackageError:
        raise
    except Exception as error:
        # The library's errors have no common base but Exception.
        raise weights_load_error(weights.path, error) from error
    return OpenVinoModel(
        compiled,
        description,
        limit=TimeLimit.from_env(weights.path),
        batch_size=batch,
        workers=workers,
    )


def _shape(shape: openvino.PartialShape) -> list[int | None]:
    """Return the length of each axis, None for an axis of any length."""
    return [axis.get_length() if axis.is_static else None for axis in shape]
