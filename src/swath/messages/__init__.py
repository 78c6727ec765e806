"""Define the messages between steps: small, frozen, and validated when they are read.

No message grows with the scene: plans, shards and results are objects in the work bucket, and the
messages carry their addresses. Every deployable imports this module, so it imports next to nothing.
"""

from __future__ import annotations

from swath.messages.acquisition import UNKNOWN_ACQUISITION, Acquisition
from swath.messages.payload import Payload
from swath.messages.plans import PLAN_VERSION, Georeference, PlanSummary, is_readable_plan
from swath.messages.requests import (
    Backend,
    ModelRef,
    RunOptions,
    RunRequest,
    SceneRef,
    derive_run_id,
    is_document,
)
from swath.messages.results import LoadSummary, MergedRun, MergeSummary, PublishSummary
from swath.messages.shards import (
    Checkpoint,
    Engine,
    JobFailure,
    Receipt,
    ShardRequest,
    TileCounts,
    TileFailure,
)

__all__ = [
    "PLAN_VERSION",
    "UNKNOWN_ACQUISITION",
    "Acquisition",
    "Backend",
    "Checkpoint",
    "Engine",
    "Georeference",
    "JobFailure",
    "LoadSummary",
    "MergeSummary",
    "MergedRun",
    "ModelRef",
    "Payload",
    "PlanSummary",
    "PublishSummary",
    "Receipt",
    "RunOptions",
    "RunRequest",
    "SceneRef",
    "ShardRequest",
    "TileCounts",
    "TileFailure",
    "derive_run_id",
    "is_document",
    "is_readable_plan",
]
