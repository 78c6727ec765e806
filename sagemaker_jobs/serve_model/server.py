"""Run the server process: listen at once, accept requests once the model is loaded, then drain."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from sagemaker_jobs.serve_model.app import ServerState, create_app
from sagemaker_jobs.serve_model.connection import Connection
from swath.errors import SwathError
from swath.sagemaker.server.service import Service

logger = logging.getLogger("swath.serve_model")

_KEEP_ALIVE_SECONDS = 75
"""Keep-alive timeout in s; longer than SageMaker's, so that the server never closes a connection
under a request."""
_SHUTDOWN_SECONDS = 2
"""Time in s for connections to close after the last answer."""


class ModelServer(uvicorn.Server):
    """Server that drains before it stops: it answers accepted requests and refuses new ones."""

    def __init__(
        self, container: ServerState, load: Callable[[], Service], *, host: str, port: int
    ) -> None:
        head_seconds = container.settings.serve_head_seconds
        connection: Any = functools.partial(Connection, head_seconds=head_seconds)
        super().__init__(
            uvicorn.Config(
                create_app(container),
                host=host,
                port=port,
                http=connection,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
        )
        self.failure: Exception | None = None
        """Error that prevented loading the model; None without one."""
        self._container = container
        self._load = load
        self._stop_at: float | None = None

    def serve_model(self) -> bool:
        """Serve until a signal; return False if the model could not be loaded."""
        # Loading runs in parallel, so that SageMaker gets 503 from /ping instead of no answer.
        threading.Thread(target=self._load_model, name="load", daemon=True).start()
        self.run()
        if self._container.service is not None:
            self._container.service.close()
        return self.failure is None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, stop at the second."""
        if self._stop_at is not None or self._container.service is None:
            super().handle_exit(sig, frame)
            return
        logger.info("draining")
        self._container.service.drain()
        self._stop_at = time.monotonic() + self._container.settings.serve_drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Check ten times a second whether to stop."""
        if self._stop_at is not None:
            idle = not self.server_state.tasks
            self.should_exit |= idle or time.monotonic() > self._stop_at
        return await super().on_tick(counter)

    def _load_model(self) -> None:
        try:
            service = self._load()
        except Exception as error:
            logger.error(  # noqa: TRY400
                "the model cannot be served: %s",
                error,
                exc_info=None if isinstance(error, SwathError) else error,
            )
            self.failure, self.should_exit = error, True
            return
        source = service.models.source
        logger.info("serving %s (%s)", source.name, source.digest)
        self._container.service = service
