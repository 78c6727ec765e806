"""Runs to load and to record, and files of detections as the merge writes them."""

import json
import random
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from swath.detection import geoparquet
from swath.detection.scene_facts import SceneFacts
from swath.messages import (
    UNKNOWN_ACQUISITION,
    Backend,
    MergeSummary,
    ModelRef,
    RunOptions,
    RunRequest,
    SceneRef,
    TileCounts,
)
from swath.pipeline.run_store import RunStore

FOOTPRINT = shapely.box(128, 34, 130, 36)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def run_request(
    etag="a",
    *,
    minutes=0,
    uri="s3://scenes/incoming/x.tif",
    model="ships",
    digest="d1",
    sequencer="",
    requested_at="",
):
    """A run of one version of a scene, dropped some minutes after noon."""
    at = (NOON + timedelta(minutes=minutes)).isoformat()
    return RunRequest.new(
        scene=SceneRef(uri=uri, etag=etag, dropped_at=at, sequencer=sequencer),
        model=ModelRef(name=model, uri="s3://m/m.tar.gz", digest=digest),
        options=RunOptions(backend=Backend.BATCH),
        requested_at=requested_at,
    )


def receipt_of(plan_uri, index):
    """The receipt of a shard of a plan, if it has one."""
    return RunStore.open(plan_uri).read_receipt(index)


@pytest.fixture
def merged(tmp_path):
    """Writes a GeoParquet file of boxes and gives its summary."""

    def write(
        count,
        *,
        claimed=None,
        row_group_size=100,
        footprint=FOOTPRINT,
        valid_footprint=None,
        acquisition=UNKNOWN_ACQUISITION,
        valid_area_m2=None,
    ):
        valid = footprint if valid_footprint is None else valid_footprint
        facts = SceneFacts(
            footprint=footprint,
            valid_footprint=valid,
            valid_area_m2=valid_area_m2,
            acquisition=acquisition,
        )
        path = tmp_path / f"{random.random()}.parquet"
        counts = {"ship": (count + 1) // 2, "boat": count // 2, "raft": 0}
        noted = {
            **facts.file_metadata,
            geoparquet.CLASSES_KEY: json.dumps(counts),
        }
        table = detections(count).replace_schema_metadata(noted)
        pq.write_table(table, path, row_group_size=row_group_size)
        return MergeSummary(
            uri=str(path),
            detections=count if claimed is None else claimed,
            tiles=TileCounts(planned=9, succeeded=6, failed=1, skipped=2),
            acquisition=acquisition,
            valid_area_m2=valid_area_m2,
        )

    return write


def detections(count):
    """Boxes one degree wide from 0 east, ships and boats in turn, as a table."""
    boxes = [shapely.to_wkb(shapely.box(i, 0, i + 1, 1)) for i in range(count)]
    names = pa.array([("ship", "boat")[i % 2] for i in range(count)], pa.string())
    return pa.table(
        {
            "class": names.cast(pa.dictionary(pa.int32(), pa.string())),
            "score": pa.array([i / max(count, 1) for i in range(count)], pa.float32()),
            "geometry": pa.array(boxes, pa.binary()),
            "tile": pa.array(range(count), pa.int64()),
            "scene": pa.array(["not read"] * count, pa.string()),
        }
    )
