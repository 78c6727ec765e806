"""Define the summaries of a run's last steps: merge, load and publication."""

from __future__ import annotations

from swath.messages.acquisition import UNKNOWN_ACQUISITION, Acquisition
from swath.messages.payload import Payload
from swath.messages.plans import PlanSummary
from swath.messages.requests import RunRequest
from swath.messages.shards import TileCounts


class MergeSummary(Payload, frozen=True, kw_only=True):
    """Result of the merge."""

    uri: str
    """Address of the run's GeoParquet file in the work bucket or folder."""
    detections: int
    """Number of detections in the file."""
    tiles: TileCounts
    mask_uri: str = ""
    """Address of the run's mask, GeoTIFF; empty if the model package asks for none."""
    warnings: list[str] = []
    """Warnings for the user, one sentence each; see `swath.messages.run_warnings`."""
    etag: str = ""
    """ETag of the GeoParquet file as the merge wrote it; empty in summaries of earlier versions."""
    mask_etag: str = ""
    """ETag of the mask as the merge wrote it; empty without a mask or in earlier versions."""
    acquisition: Acquisition = UNKNOWN_ACQUISITION
    """Acquisition of the scene, as its metadata state it."""
    valid_area_m2: float | None = None
    """Area on the ellipsoid, in m², of the scene's valid pixels; None without a georeference."""


class MergedRun(Payload, frozen=True, kw_only=True):
    """Run whose detections are ready to be loaded and published."""

    request: RunRequest
    plan: PlanSummary
    merge: MergeSummary


class LoadSummary(Payload, frozen=True, kw_only=True):
    """Result of the load."""

    rows: int
    """Number of detections loaded into the database."""
    superseded: bool
    """Whether a run of a later version of the scene was loaded already, so this one was not."""


class PublishSummary(Payload, frozen=True, kw_only=True):
    """Addresses of the published results."""

    detections_uri: str
    """Address of the GeoParquet file."""
    item_uri: str
    """Address of the STAC Item."""
    mask_uri: str = ""
    """Address of the mask, GeoTIFF; empty if there is none."""
