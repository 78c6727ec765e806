"""What a serving container may be told by its environment."""

from __future__ import annotations

from dataclasses import dataclass

from swath.settings import EnvSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings(EnvSettings):
    """Of `serve_model`; a field `serve_host` is the variable `SWATH_SERVE_HOST`."""

    serve_host: str = "0.0.0.0"  # noqa: S104 (SageMaker reaches the container from outside)
    serve_max_body_bytes: int = 1 << 30
    """Of one request: what an asynchronous endpoint takes at most."""
    serve_head_seconds: int = 30
    """How long the request line and headers of a request may take to arrive."""
    serve_body_seconds: int = 300
    """How long the body of one request may take to arrive; a slower one is answered with 408."""
    serve_max_pixels: int = 500_000_000
    """Of one image."""
    serve_memory_bytes: int = 1 << 30
    """Pixels of all images that are worked on at once; a larger image is worked on alone."""
    serve_spool_bytes: int = 4 << 30
    """Of all requests on the disk at once."""
    serve_waiting: int = 256
    """Images that may wait for their turn; one more is told to come again."""
    serve_shards: int = 2
    """Shards that run side by side: one opens its scene while the other infers."""
    serve_waiting_shards: int = 8
    serve_drain_seconds: int = 25
    """How long requests have to end after SIGTERM; SageMaker sends SIGKILL after thirty.
    https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
