"""Models in ONNX form, loaded: tiles go in from the host, scaled there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swath.runtimes.host_feed import HostFeed
from swath.runtimes.model import Batches, Outputs, memory_errors, per_tile

if TYPE_CHECKING:
    import onnxruntime
    from numpy.typing import NDArray

    from swath.mlm import ModelDescription


class OnnxModel(Batches):
    """An inference session whose tiles are scaled by the host."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        description: ModelDescription,
        *,
        batch_size: int = 1,
        fixed: bool = False,
        workers: int = 1,
    ) -> None:
        super().__init__(batch_size, fixed=fixed)
        self.workers = workers
        self._session = session
        self._input = session.get_inputs()[0].name
        self._outputs = [o.name for o in session.get_outputs()[: len(description.outputs)]]
        self._feed = HostFeed(description)
        self._batched = description.batched

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """The model's outputs for each tile."""
        batch = self.filled(len(tiles))
        with memory_errors():
            outputs = self._session.run(self._outputs, {self._input: self._feed(tiles, batch)})
        return per_tile(outputs, tiles=len(tiles), batch=batch, batched=self._batched)
