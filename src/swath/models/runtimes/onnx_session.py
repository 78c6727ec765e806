"""Run ONNX models with tiles that the host scales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import onnxruntime

from swath.models.runtimes.base import BatchedModel, Outputs, split_batch, translate_oom
from swath.models.runtimes.host_input import HostInput
from swath.models.runtimes.time_limit import UNLIMITED, TimeLimit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription

_FATAL_ONLY = 4


class OnnxModel(BatchedModel):
    """Inference session whose tiles are scaled by the host."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        description: ModelDescription,
        *,
        batch_size: int = 1,
        static_batch: bool = False,
        workers: int = 1,
        limit: TimeLimit = UNLIMITED,
    ) -> None:
        super().__init__(batch_size, static_batch=static_batch)
        self.workers = workers
        self._session = session
        self._input_name = session.get_inputs()[0].name
        self._output_names = [o.name for o in session.get_outputs()[: len(description.outputs)]]
        self._host_input = HostInput(description)
        self._batched = description.batched
        self._limit = limit

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Return the model's outputs for each tile."""
        batch = self.padded_size(len(tiles))
        inputs = {self._input_name: self._host_input(tiles, batch)}
        with translate_oom(), run_options(self._limit) as options:
            outputs = self._session.run(self._output_names, inputs, options)
        return split_batch(outputs, tiles=len(tiles), batch=batch, batched=self._batched)


@contextmanager
def run_options(limit: TimeLimit) -> Iterator[onnxruntime.RunOptions]:
    """Give the options of one run of a session, and terminate the run when it exceeds the limit.

    Raises:
        ModelTimeoutError: The run exceeded the limit.
    """
    options = onnxruntime.RunOptions()
    options.log_severity_level = _FATAL_ONLY  # errors are raised, so they need no log line

    def stop() -> None:
        options.terminate = True

    with limit.watch("answered", stop):
        yield options
