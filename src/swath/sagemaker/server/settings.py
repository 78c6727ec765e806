"""Define the settings that a serving container reads from its environment."""

from __future__ import annotations

from dataclasses import dataclass

from swath.settings import EnvSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings(EnvSettings):
    """Settings of `serve_model`; the field `serve_host` is the variable `SWATH_SERVE_HOST`."""

    serve_host: str = "0.0.0.0"  # noqa: S104 (SageMaker reaches the container from outside)
    serve_max_body_bytes: int = 1 << 30
    """Maximum size of a request's body in bytes: the maximum of an asynchronous endpoint."""
    serve_head_seconds: int = 30
    """Maximum time in s for the request line and headers of a request to arrive."""
    serve_body_seconds: int = 300
    """Maximum time in s for the body of a request to arrive; a slower one is answered with 408."""
    serve_max_pixels: int = 500_000_000
    """Maximum number of pixels of an image, per band."""
    serve_memory_bytes: int = 1 << 30
    """Maximum bytes of pixels of all images in progress; a larger image is processed alone."""
    serve_spool_bytes: int = 4 << 30
    """Maximum bytes of all request bodies on the disk."""
    serve_waiting: int = 256
    """Maximum number of queued images; further ones are answered with 429."""
    serve_shards: int = 2
    """Number of shards processed concurrently: one opens its scene while the other infers."""
    serve_waiting_shards: int = 8
    serve_drain_seconds: int = 25
    """Maximum time in s for requests to end after SIGTERM; SageMaker sends SIGKILL after 30 s.
    https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
