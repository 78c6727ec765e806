"""What a shard is asked, and what it leaves: a receipt, a checkpoint, or a failure."""

from __future__ import annotations

from swath.messages.payload import Payload


class ShardRequest(Payload, frozen=True, kw_only=True):
    """One shard of a plan, as an endpoint is asked for it."""

    plan_uri: str
    index: int
    task_token: str = ""
    """Of the state that waits for the shard; of no use to who infers it."""


class TileCounts(Payload, frozen=True, kw_only=True):
    """What became of the planned tiles; the three others add up to `planned`."""

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
    def complete(self) -> bool:
        """Whether every planned tile is accounted for."""
        return self.succeeded + self.failed + self.skipped == self.planned


class TileFailure(Payload, frozen=True, kw_only=True):
    """Why one tile gave nothing. `column` and `row` are pixels of its upper left corner."""

    tile: int
    column: int
    row: int
    cause: str


class JobFailure(Payload, frozen=True, kw_only=True):
    """The error that a failing Batch job leaves in the work bucket: Batch keeps its exit code."""

    error: str
    """The name of its class."""
    cause: str
    exit_code: int


class Engine(Payload, frozen=True, kw_only=True):
    """The device and the library that compute a model's answers."""

    device: str
    """NVIDIA's name of the GPU, or `cpu`."""
    driver: str = ""
    """The version of NVIDIA's driver; empty on a CPU."""
    runtime: str
    """As `swath.models.runtimes.base.Runtime` names it."""
    weights: str
    """The format of the file."""
    precision: str = "float32"
    fallbacks: list[str] = []
    """What was tried before it and did not work, and why."""


class Receipt(Payload, frozen=True, kw_only=True):
    """Written after a shard's Parquet file: the shard is done, and this is what became of it."""

    run_id: str
    index: int
    layout: str
    """`Plan.layout` of the plan whose shard it is."""
    tiles: TileCounts
    detections: int
    """In its file, settled."""
    seams: int = 0
    """In a file of their own: those that other shards have a say in."""
    seconds: float
    failures: list[TileFailure] = []
    """The first few failures; `tiles.failed` counts them all."""
    engine: Engine | None = None
    """What computed it; None where nothing was computed, or by an earlier version of swath."""
    samples: int = 0
    """In a file of their own: sampled px, for the statistics of the run's bands."""
    pixels_per_second: float = 0.0
    """Scene pixels of the tiles that this attempt inferred, by its seconds of inference."""
    warnings: list[str] = []
    """Sentences for the user: the shard is done, and something about it looks wrong."""
    files: dict[str, str] = {}
    """SHA-256 of each file of the shard by its name; none in receipts of earlier versions."""


class Checkpoint(Payload, frozen=True, kw_only=True):
    """Written after the files that an interrupted shard leaves."""

    layout: str
    """`Plan.layout`: progress in another plan's shard is none in this one's."""
    files: dict[str, str]
    """SHA-256 of each, by the file's name."""
