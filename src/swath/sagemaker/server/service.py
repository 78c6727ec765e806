"""Process requests: images from a file of bytes, and shards from their plan."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from swath.detection.detect_scene import detect_scene
from swath.errors import InputError, PayloadError
from swath.messages import Receipt, ShardRequest
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard, write_failed_receipt
from swath.resource_limits import available_cpus
from swath.sagemaker.server.content_types import GEOJSON
from swath.sagemaker.server.images import ImageSize, open_image
from swath.sagemaker.server.limits import BoundedExecutor, ByteBudget
from swath.sagemaker.server.models import ContainerModels
from swath.sagemaker.server.responses import to_geojson, to_json

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from swath.sagemaker.server.content_types import ImageFormat
    from swath.sagemaker.server.settings import ServeSettings

logger = logging.getLogger("swath.serve_model")

_ACCESS_DENIED_CODES = {"403", "AccessDenied", "AllAccessDisabled"}
_MAX_IMAGE_THREADS = 64
"""Maximum number of images processed at once; two batches of the largest size need more."""


class Service:
    """Model of the container, with the queues and limits of its requests."""

    def __init__(self, models: ContainerModels, settings: ServeSettings) -> None:
        self.models = models
        self._settings = settings
        self._draining = threading.Event()
        self._memory = ByteBudget(settings.serve_memory_bytes)
        # While the model runs on one batch, the images of the next one are decoded.
        threads = min(_MAX_IMAGE_THREADS, 2 * models.own.batch_size + 2 * available_cpus())
        self._images = BoundedExecutor("images", threads=threads, waiting=settings.serve_waiting)
        self._shards = BoundedExecutor(
            "shards", threads=settings.serve_shards, waiting=settings.serve_waiting_shards
        )

    @property
    def ready(self) -> bool:
        """True if the service accepts requests."""
        return not self._draining.is_set()

    def detect(self, path: Path, kind: ImageFormat, response_type: str) -> Future[bytes]:
        """Queue an image for detection, and return the future answer.

        Args:
            path: File with the image's bytes; it must exist until the answer is ready.
            kind: Format of the image.
            response_type: Media type of the answer.

        Raises:
            BusyError: The queue is full.
        """
        return self._images.submit(self._detect, path, kind, response_type)

    def infer(self, request: ShardRequest) -> Future[Receipt]:
        """Queue a shard for inference; its results are written to the plan's output.

        Args:
            request: Plan and index of the shard.

        Raises:
            BusyError: The queue is full.
        """
        return self._shards.submit(self._infer, request)

    def drain(self) -> None:
        """Accept no more requests; shards stop at a checkpoint, accepted images are answered."""
        self._draining.set()

    def close(self) -> None:
        """Drain, and wait until all requests are completed."""
        self.drain()
        self._images.close()
        self._shards.close()
        self.models.own.close()

    def _detect(self, path: Path, kind: ImageFormat, response_type: str) -> bytes:
        with open_image(path, kind, self._reserve_memory) as scene:
            found = detect_scene(scene, self.models.description, self.models.own)
            write = to_geojson if response_type == GEOJSON else to_json
            return write(found, scene.info, self.models.source)

    def _reserve_memory(self, size: ImageSize) -> AbstractContextManager[None]:
        size.check(self._settings.serve_max_pixels, self.models.description.bands)
        return self._memory.hold(size.bytes)

    def _infer(self, request: ShardRequest) -> Receipt:
        uri, index = request.plan_uri, request.index
        try:
            return run_shard(uri, index, stop=self._draining.is_set, load=self.models.load_for)
        except InputError as error:
            _require_shard(uri, index)
            logger.error("shard %d of %s refused: %s", index, uri, error)  # noqa: TRY400
            return write_failed_receipt(uri, index, error)
        except (OSError, ClientError):
            _require_shard(uri, index)
            raise


def _require_shard(uri: str, index: int) -> None:
    """Refuse a request whose plan is unreadable or does not contain the shard.

    Raises:
        PayloadError: The plan is missing or must not be read, or it has no such shard.
    """
    try:
        RunStore.open(uri).plan.tiles(index)
    except (OSError, ClientError) as error:
        if (
            isinstance(error, ClientError)
            and error.response["Error"]["Code"] not in _ACCESS_DENIED_CODES
        ):
            raise
        raise PayloadError(f"there is no readable plan at {uri}") from None
