"""Define the request for a shard, and what the shard writes: receipt, checkpoint or failure."""

from __future__ import annotations

from swath.messages.payload import Payload


class ShardRequest(Payload, frozen=True, kw_only=True):
    """Request to infer one shard of a plan."""

    plan_uri: str
    """Address of the plan."""
    index: int
    """Number of the shard, from 0."""
    task_token: str = ""
    """Task token of the waiting Step Functions state; inference ignores it."""


class TileCounts(Payload, frozen=True, kw_only=True):
    """Number of tiles by outcome; `succeeded`, `failed` and `skipped` add up to `planned`."""

    planned: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: TileCounts) -> TileCounts:
        return TileCounts(
            planned=self.planned + other.planned,
            succeeded=self.succeeded + other.succeeded,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
        )

    @property
    def is_complete(self) -> bool:
        """Whether every planned tile is accounted for."""
        return self.succeeded + self.failed + self.skipped == self.planned


class TileFailure(Payload, frozen=True, kw_only=True):
    """Failure of one tile."""

    tile: int
    """Number of the tile in its grid."""
    column: int
    """x of the tile's upper left corner in scene px."""
    row: int
    """y of the tile's upper left corner in scene px."""
    cause: str


class JobFailure(Payload, frozen=True, kw_only=True):
    """Error of a failed Batch job, written to the work bucket; Batch keeps only the exit code."""

    error: str
    """Name of the exception's class."""
    cause: str
    exit_code: int


class Engine(Payload, frozen=True, kw_only=True):
    """Device and runtime that compute a model's outputs."""

    device: str
    """NVIDIA's name of the GPU, or `cpu`."""
    driver: str = ""
    """Version of NVIDIA's driver; empty on a CPU."""
    runtime: str
    """Name of the runtime, as in `swath.models.runtimes.base.Runtime`."""
    weights: str
    """Format of the weights file."""
    precision: str = "float32"
    fallbacks: list[str] = []
    """Runtimes or devices that were tried before and failed, with the reasons."""


class Receipt(Payload, frozen=True, kw_only=True):
    """Result of a finished shard, written after all its other files."""

    run_id: str
    index: int
    """Number of the shard, from 0."""
    plan_fingerprint: str
    """`Plan.fingerprint` of the shard's plan."""
    tiles: TileCounts
    detections: int
    """Number of final detections, which are in the shard's Parquet file."""
    seams: int = 0
    """Number of detections for the merge to stitch with other shards', in a file of their own."""
    seconds: float
    """Duration of the attempt in seconds, loading of the model included."""
    failures: list[TileFailure] = []
    """The first few failures; `tiles.failed` counts all of them."""
    engine: Engine | None = None
    """Device and runtime; None if no tile was inferred, or in receipts of earlier versions."""
    samples: int = 0
    """Number of sampled px, in a file of their own, for the statistics of the run's bands."""
    invalid_pixels: int = 0
    """Number of px in the cores of the tiles that are not valid; their cells are in a file."""
    pixels_per_second: float = 0.0
    """Scene px in the cores of the tiles that the attempt inferred, per second of inference."""
    warnings: list[str] = []
    """Warnings for the user, one sentence each."""
    files: dict[str, str] = {}
    """SHA-256 of each file of the shard by file name; empty in receipts of earlier versions."""


class Checkpoint(Payload, frozen=True, kw_only=True):
    """Checkpoint of an interrupted shard, written after the shard's other files."""

    plan_fingerprint: str
    """`Plan.fingerprint` of the shard's plan; the progress is useless for any other plan."""
    files: dict[str, str]
    """SHA-256 of each file, by file name."""
