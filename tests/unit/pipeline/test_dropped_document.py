"""Tests of dropped Items and lists of files: which of them replace each other."""

import json
import re
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from swath import storage
from swath.errors import SettingsError, TransientError
from swath.items import item_from_files, references
from swath.items.references import digest_files
from swath.messages import RunRequest, SceneRef
from swath.pipeline.dropped_document import identify_scene
from swath.pipeline.start import Drop
from tests.unit.pipeline.test_start import Bucket


def item(item_id="S2A_33UUP", collection="sentinel-2-l2a", assets=("B02", "B03"), **properties):
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "collection": collection,
        "geometry": None,
        "properties": {"datetime": "2026-11-20T10:12:13Z", **properties},
        "links": [],
        "assets": {
            key: {
                "href": f"{key}.tif",
                "type": "image/tiff; application=geotiff",
                "eo:bands": [{"name": key}],
            }
            for key in assets
        },
    }


class Documents(Bucket):
    """A bucket on moto's S3: its documents and files are really there."""

    def __init__(self, work):
        super().__init__(work)
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(
            Bucket="scenes", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        for key in ("B02", "B03"):
            self.put(f"incoming/{key}.tif", key.encode())

    def put(self, key, body):
        return self.s3.put_object(Bucket="scenes", Key=key, Body=body)["ETag"].strip('"')

    def drop_item(self, document=None, key="incoming/a.json", **properties):
        body = json.dumps(document or item(**properties)).encode()
        return self.drop(self.put(key, body), key, len(body))

    def scene(self, summary):
        sent = json.loads(self.states.executions[summary.execution]["input"])
        return RunRequest.from_json(sent).scene


@pytest.fixture
def documents(tmp_path):
    storage.s3.cache_clear()
    with mock_aws():
        yield Documents(str(tmp_path))
    storage.s3.cache_clear()


def test_an_item_is_known_by_its_collection_and_id(documents):
    summary = documents.handle(documents.drop_item())

    scene = documents.scene(summary)
    assert summary.outcome == "started"
    assert scene.identity == scene.scene_id == "sentinel-2-l2a/S2A_33UUP"
    assert scene.uri == "s3://scenes/incoming/a.json"
    assert re.fullmatch("[0-9a-f]{32}", scene.assets)


def test_a_list_of_files_is_known_by_its_address(documents):
    scene = documents.scene(documents.handle(documents.drop_item({"files": ["B02.tif"]})))

    assert (scene.scene_id, scene.identity) == ("", "s3://scenes/incoming/a.json")
    assert scene.assets


def test_a_new_version_of_an_item_under_another_key_replaces_the_earlier_one(documents):
    old = documents.drop_item()
    new = documents.drop_item(key="incoming/ships/b.json", **{"eo:cloud_cover": 3})
    first, second = documents.handle(old), documents.handle(new)

    assert first.outcome == second.outcome == "started"
    assert first.run_id != second.run_id
    assert documents.handle(old).outcome == "outdated"
    assert documents.handle(new).outcome == "duplicate"
    assert len(documents.states.executions) == 2


def test_the_same_bytes_under_another_key_are_a_version_of_their_own(documents):
    """Check one second and one ETag, which distinguish the drops of one key."""
    first = documents.drop_item()
    moved = documents.drop_item(key="incoming/b.json")
    at = {"dropped_at": first.dropped_at, "sequencer": ""}
    one, other = (Drop(**fields(drop) | at) for drop in (first, moved))

    assert [documents.handle(drop).outcome for drop in (one, other)] == ["started"] * 2


def fields(drop):
    return {name: getattr(drop, name) for name in drop.__slots__}


def test_an_item_whose_file_was_replaced_is_other_work(documents):
    first = documents.handle(documents.drop_item())
    assert documents.handle(documents.drop_item()).outcome == "duplicate"

    documents.put("incoming/B03.tif", b"another")
    second = documents.handle(documents.drop_item())

    assert (second.outcome, second.run_id == first.run_id) == ("started", False)


def test_an_event_delivered_again_after_a_file_was_replaced_starts_nothing(documents):
    event = documents.drop_item()
    first = documents.handle(event)
    documents.put("incoming/B03.tif", b"another")

    again = documents.handle(event)

    assert (again.outcome, again.execution) == ("duplicate", first.execution)


def test_an_event_of_an_item_that_was_replaced_since_starts_nothing(documents):
    late = documents.drop_item()
    newest = documents.drop_item(gsd=10)

    assert documents.handle(late).outcome == "outdated"
    assert documents.handle(newest).outcome == "started"
    assert documents.scene(documents.handle(newest)).etag == newest.etag


def test_a_drop_of_the_same_item_waits_for_its_run_to_fail(documents):
    first = documents.handle(documents.drop_item())
    later = documents.drop_item()
    assert documents.handle(later).outcome == "duplicate"

    again = documents.tell(documents.end(first.execution))

    assert (again.outcome, again.run_id) == ("started", first.run_id)
    assert documents.scene(again).sequencer == later.sequencer
    assert documents.scene(again).scene_id == "sentinel-2-l2a/S2A_33UUP"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"type": "FeatureCollection"}',
        json.dumps(item(item_id="x" * 100_000)).encode(),
        json.dumps(item(item_id="a\0b")).encode(),
        json.dumps(item(item_id="\ud800")).encode(),
        json.dumps(item(assets=[f"B{n}" for n in range(20_000)])).encode(),
        b"{" + b" " * (9 << 20) + b"}",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_document_of_no_scene_is_run_so_that_its_failure_is_recorded(documents, content):
    event = documents.drop(documents.put("incoming/a.json", content), "incoming/a.json")

    summary = documents.handle(event)

    scene = documents.scene(summary)
    assert summary.outcome == "started"
    assert (scene.scene_id, scene.assets) == ("", "")
    assert documents.handle(event).outcome == "duplicate"
    assert len(documents.states.executions[summary.execution]["input"]) < 1000


def test_a_document_that_is_gone_is_run_so_that_its_failure_is_recorded(documents):
    event = documents.drop(key="incoming/a.json")

    assert documents.handle(event).outcome == "started"


def test_files_outside_the_sources_are_not_looked_up(documents, monkeypatch):
    asked = []
    monkeypatch.setattr(references.storage, "etag", lambda uri: asked.append(uri) or "e")
    elsewhere = item()
    elsewhere["assets"]["B03"]["href"] = "https://example.com/B03.tif"
    elsewhere["assets"]["B04"] = elsewhere["assets"]["B02"] | {"href": "s3://others/B04.tif"}

    assert documents.handle(documents.drop_item(elsewhere)).outcome == "started"
    assert asked == ["s3://scenes/incoming/B02.tif"]


def test_a_file_that_cannot_be_looked_up_does_not_stop_the_start(documents, monkeypatch):
    forbidden = ClientError({"Error": {"Code": "403"}}, "HeadObject")
    errors = [TransientError("S3 is down"), forbidden, OSError()]

    def fail(_):
        raise errors.pop()

    monkeypatch.setattr(references.storage, "etag", fail)

    for document in (item("a"), item("b", assets=["B02"])):
        assert documents.handle(documents.drop_item(document)).outcome == "started"
    assert not errors


def test_only_some_files_are_looked_up(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(references.storage, "etag", lambda uri: asked.append(uri) or "e")
    digest_files(item_from_files([str(tmp_path / f"{n}.tif") for n in range(300)]))

    assert len(asked) == references.MAX_LOOKED_UP_FILES


def test_look_ups_end_at_their_time_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(references, "MAX_LOOKUP_SECONDS", -1.0)
    files = item_from_files([str(tmp_path / "a.tif")])
    (tmp_path / "a.tif").touch()
    late = digest_files(files)
    monkeypatch.undo()

    assert digest_files(files) != late
    (tmp_path / "a.tif").unlink()
    assert digest_files(files) == late


def test_s3_failing_on_the_document_is_retried(documents, monkeypatch):
    event = documents.drop_item()

    def fail(_):
        raise TransientError("S3 is down")

    monkeypatch.setattr(storage, "read_with_etag", fail)
    with pytest.raises(TransientError):
        documents.handle(event)
    assert not documents.states.executions


def test_an_invalid_source_in_the_settings_is_reported():
    scene = SceneRef(uri="s3://b/a.json", etag="e", dropped_at="")

    with pytest.raises(SettingsError, match="scene_sources"):
        identify_scene(scene, ["gopher://x/"])


def test_a_raster_file_needs_nothing_of_documents():
    code = "import sys, lambdas.start_run.handler; print('swath.items' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
