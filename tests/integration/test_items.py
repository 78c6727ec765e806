"""STAC Items in the deployed template's buckets: run like the file that holds their bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from swath.pipeline.local import run_local
from tests.helpers.items import COARSE, stack_item, write_document, write_item
from tests.integration.archive import NAMES, drop_item, with_files
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import BACKENDS, SHIPS, port, rows

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


def upload(pipeline: Pipeline, folder: Path, prefix: str, document: str = "item.json") -> str:
    """Put the files of an Item into the scenes bucket, and the Item last; the Item's URI."""
    for path in sorted(folder.glob("*.tif")):
        pipeline.drop(path, f"{prefix}/{path.name}")
    return pipeline.drop(folder / document, f"{prefix}/{document}")


def test_an_item_gives_on_all_six_backends_what_the_file_stacked_from_it_gives(
    pipeline: Pipeline, data: Path, tmp_path: Path
):
    item = write_item(tmp_path / "item", port(data, "busan"))
    run_local(str(stack_item(item, tmp_path / "stacked.tif")), str(SHIPS), tmp_path / "stacked")
    run_local(str(item), str(SHIPS), tmp_path / "local")
    found = {"local": rows(pq.read_table(tmp_path / "local" / "detections.parquet"))}
    for backend in BACKENDS:
        uri = upload(pipeline, item.parent, f"elsewhere/items/{backend}")
        execution = pipeline.start(pipeline.request(uri, backend))
        run = pipeline.wait(uri)
        assert run.status == "succeeded", (backend, run.cause)
        found[backend] = rows(pipeline.published(execution))

    assert_close(found["local"], pq.read_table(tmp_path / "stacked" / "detections.parquet"))
    for backend in BACKENDS:
        assert found[backend] == found["local"], backend


def assert_close(found: list[tuple[Any, ...]], stacked: Any) -> None:
    """Check equal classes and tiles, boxes to 0.1 px, and scores to 1e-3."""
    expected = rows(stacked)
    assert len(found) == len(expected) > 10
    for one, other in zip(sorted(found, key=corner), sorted(expected, key=corner), strict=True):
        assert (one[1], one[7]) == (other[1], other[7])
        assert np.allclose(one[3:7], other[3:7], rtol=0, atol=0.1)
        assert abs(one[2] - other[2]) < 1e-3


def corner(row: tuple[Any, ...]) -> tuple[float, ...]:
    return tuple(round(value) for value in row[3:7])


def test_a_new_version_of_an_item_replaces_the_earlier_one_whatever_its_key(
    pipeline: Pipeline, data: Path, tmp_path: Path
):
    """Check Items in `incoming/` whose files lie elsewhere in the bucket, and start no runs."""
    files = f"s3://{pipeline.scenes}/files/S2A_04QFJ/"
    item = write_item(tmp_path / "item", port(data, "honolulu"), item_id="S2A_04QFJ")
    upload(pipeline, item.parent, "files/S2A_04QFJ")
    first = pipeline.wait(pipeline.drop(with_files(item, files), "incoming/a.json"))
    assert first.status == "succeeded", first.cause

    moved = write_document(item.parent / "b.json", NAMES, COARSE, item_id="S2A_04QFJ", gsd=10)
    second = pipeline.wait(pipeline.drop(with_files(moved, files), "incoming/ships/b.json"))

    assert second.status == "succeeded", second.cause
    assert first.scene_id == second.scene_id
    assert [run.status for run in pipeline.runs(first.scene_uri)] == ["replaced"]
    assert not pipeline.detections(first.scene_uri)
    assert len(pipeline.detections(second.scene_uri)) == second.detections == first.detections > 0


def test_the_files_of_an_item_may_lie_in_a_bucket_whose_readers_pay(
    pipeline: Pipeline, data: Path, tmp_path: Path
):
    """Check a bucket in another region: `start_run`, `plan_scene` and the shard pay."""
    source = port(data, "honolulu")
    uri = drop_item(pipeline, source, tmp_path, "incoming/paid.json")
    run = pipeline.wait(uri)

    assert run.status == "succeeded", run.cause
    local = write_item(tmp_path / "local", source, item_id="paid")
    expected = run_local(str(local), str(SHIPS), tmp_path / "out").detections
    assert len(pipeline.detections(uri)) == run.detections == expected > 0


def test_an_item_whose_files_may_not_be_read_fails_with_the_reason(
    pipeline: Pipeline, tmp_path: Path
):
    document = write_document(tmp_path / "item.json", NAMES, {}, item_id="elsewhere")
    with_files(document, "https://example.com/")

    run = pipeline.wait(pipeline.drop(document, "incoming/elsewhere.json"))

    assert (run.status, run.scene_id) == ("failed", "sentinel-2-l2a/elsewhere")
    assert "https://example.com/B02.tif lies outside the allowed sources" in run.cause
