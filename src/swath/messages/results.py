"""What the end of a run gives: the merge, the load and the publication."""

from __future__ import annotations

from swath.messages.payload import Payload
from swath.messages.plans import PlanSummary
from swath.messages.requests import RunRequest
from swath.messages.shards import TileCounts


class MergeSummary(Payload, frozen=True, kw_only=True):
    """What the merge found. `uri` is the run's GeoParquet file in the work bucket."""

    uri: str
    detections: int
    tiles: TileCounts
    mask_uri: str = ""
    """The run's mask, GeoTIFF; empty where the model package asks for none."""
    warnings: list[str] = []
    """Sentences for the user, from `swath.messages.run_warnings`, about what looks wrong."""
    etag: str = ""
    """Of the GeoParquet file as the merge wrote it; empty in summaries of earlier versions."""
    mask_etag: str = ""
    """Of the mask, likewise."""


class MergedRun(Payload, frozen=True, kw_only=True):
    """A run whose detections are ready to be loaded and published."""

    request: RunRequest
    plan: PlanSummary
    merge: MergeSummary


class LoadSummary(Payload, frozen=True, kw_only=True):
    """What the load did. `superseded` when a newer version of the scene was there already."""

    rows: int
    superseded: bool


class PublishSummary(Payload, frozen=True, kw_only=True):
    """Where the results are for other programs to find."""

    detections_uri: str
    item_uri: str
    mask_uri: str = ""
