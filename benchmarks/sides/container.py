"""Run the serving container in its own process, optionally with an emulated device.

`python -m benchmarks.sides.container PACKAGE OPTIONS` serves a model package; its port goes to
standard output once it is ready.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sides.device import EmulatedDevice
from benchmarks.worker import ROOT
from sagemaker_jobs.serve_model.app import ServerState
from sagemaker_jobs.serve_model.server import ModelServer
from swath.sagemaker.server.batcher import Batcher
from swath.sagemaker.server.models import ContainerModels
from swath.sagemaker.server.service import Service
from swath.sagemaker.server.settings import ServeSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.runtimes.base import Model, Outputs

BATCH = 16


@dataclass(frozen=True, slots=True)
class RunningContainer:
    """State of a server that is ready."""

    port: int
    pid: int


class UnbatchedModel:
    """Model that each request calls by itself, as in a container without batching."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.batch_size, self.workers = model.batch_size, model.workers
        self.engine = model.engine

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Return the model's output."""
        return self._model(tiles)

    def shrink(self) -> bool:
        """Return False: the batch cannot shrink, since this model never runs out of memory."""
        return False

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


@contextmanager
def run_container(package: str, **options: Any) -> Iterator[RunningContainer]:
    """Serve a package from a process of its own, with the options of `main`."""
    command = [sys.executable, "-m", "benchmarks.sides.container", package, json.dumps(options)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 (narrows the type)
            yield RunningContainer(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


def main(package: str, *, call_ms: float = 0, tile_ms: float = 0, batched: bool = True) -> None:
    """Serve until SIGTERM.

    Args:
        package: Folder of a model package.
        call_ms: Time in ms of each call of the emulated device; 0 without one.
        tile_ms: Time in ms of each tile on the emulated device; 0 without one.
        batched: Whether the tiles of concurrent requests share batches.
    """
    settings = ServeSettings(serve_host="127.0.0.1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]

    def load() -> Service:
        models = ContainerModels.load(Path(package))
        if call_ms or tile_ms:
            device = EmulatedDevice(
                tile_ms / 1000, seconds_per_call=call_ms / 1000, batch_size=BATCH
            )
            models.own.close()
            model: Any = Batcher(device) if batched else UnbatchedModel(device)
            models = ContainerModels(
                digest=models.digest, description=models.description, own=model
            )
        service = Service(models, settings)
        print(port, flush=True)
        return service

    ModelServer(ServerState(settings), load, host="127.0.0.1", port=port).serve_model()


if __name__ == "__main__":
    main(sys.argv[1], **json.loads(sys.argv[2]))
