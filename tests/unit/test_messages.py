import json
import subprocess
import sys
import textwrap
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from swath.errors import PayloadError
from swath.messages import (
    Backend,
    MergeSummary,
    ModelRef,
    PlanSummary,
    Receipt,
    RunOptions,
    RunRequest,
    SceneRef,
    TileCounts,
    TileFailure,
    derive_run_id,
)
from swath.messages.versions import SceneVersion
from swath.settings import EndpointKind

SCENE = SceneRef(uri="s3://scenes/incoming/x.tif", etag="abc", dropped_at="2026-01-02T03:04:05Z")
MODEL = ModelRef(name="ships", uri="s3://models/ships.tar.gz", digest="d1")
REQUEST = RunRequest.new(scene=SCENE, model=MODEL, options=RunOptions())

texts = st.text(max_size=30)
counts = st.builds(
    TileCounts,
    planned=st.integers(0, 10**9),
    succeeded=st.integers(0, 10**9),
    failed=st.integers(0, 10**9),
    skipped=st.integers(0, 10**9),
)
failures = st.builds(
    TileFailure,
    tile=st.integers(0),
    column=st.integers(0),
    row=st.integers(0),
    cause=texts,
)
receipts = st.builds(
    Receipt,
    run_id=texts,
    index=st.integers(0, 10**4),
    tiles=counts,
    detections=st.integers(0),
    seconds=st.floats(0, 1e6),
    failures=st.lists(failures, max_size=3),
)
requests = st.builds(
    RunRequest.new,
    scene=st.builds(SceneRef, uri=texts, etag=texts, dropped_at=texts),
    model=st.builds(ModelRef, name=texts, uri=texts, digest=texts),
    options=st.builds(
        RunOptions,
        tolerated_failures=st.floats(0, 1),
        score_threshold=st.just(UNSET) | st.floats(0, 1),
    ),
)


@given(st.one_of(receipts, requests, counts))
def test_a_payload_survives_the_journey_as_json(payload: Any):
    travelled = json.loads(json.dumps(payload.to_json()))

    assert type(payload).from_json(travelled) == payload


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run_id": None}, r"RunRequest: Expected `str`, got `null` - at `\$.run_id`"),
        ({"scene": "s3://x"}, r"Expected `object`, got `str` - at `\$.scene`"),
        ({"extra": 1}, "contains unknown field `extra`"),
        ({"options": {"backend": "cloud"}}, r"'cloud' - at `\$.options.backend`"),
        ({"options": {"tolerated_failures": 2}}, r"tolerated_failures is 2.0.*\$.options"),
        ({"options": {"score_threshold": 1.5}}, r"score_threshold is 1.5.*\$.options"),
        ({"options": {"score_threshold": "low"}}, r"got `str` - at .*score_threshold"),
        ({"options": {"tolerated_failures": True}}, r"got `bool` - at .*tolerated_failures"),
    ],
)
def test_a_bad_value_is_named(change: dict[str, Any], message: str):
    with pytest.raises(PayloadError, match=message):
        RunRequest.from_json(REQUEST.to_json() | change)


def test_a_missing_field_is_named():
    data = REQUEST.to_json()
    del data["scene"]["etag"]

    with pytest.raises(PayloadError, match=r"missing required field `etag` - at `\$\.scene`"):
        RunRequest.from_json(data)


def test_an_integer_is_not_a_boolean():
    data = PlanSummary(uri="u", backend=Backend.LAMBDA, shards=1, tiles=1).to_json() | {
        "shards": True
    }

    with pytest.raises(PayloadError, match=r"got `bool` - at `\$\.shards`"):
        PlanSummary.from_json(data)


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        ("auto", None),
        ("local", None),
        ("lambda", None),
        ("batch", None),
        ("sagemaker-realtime", "realtime"),
        ("sagemaker-async", "async"),
        ("sagemaker-serverless", "serverless"),
    ],
)
def test_a_backend_is_text_in_json_and_knows_its_endpoint(backend: str, kind: str | None):
    options = RunOptions.from_json({"backend": backend})

    assert (options.backend, options.backend.endpoint_kind) == (Backend(backend), kind)
    assert json.dumps(options.to_json()["backend"]) == f'"{backend}"'


def test_each_kind_of_endpoint_is_a_backend_and_no_other():
    assert sorted(backend.endpoint_kind for backend in Backend if backend.endpoint_kind) == sorted(
        EndpointKind
    )


class TestRunId:
    def test_is_a_uuid_of_version_8(self):
        assert uuid.UUID(REQUEST.run_id).version == 8

    def test_does_not_depend_on_the_time_of_the_drop_or_the_backend(self):
        later = SceneRef(uri=SCENE.uri, etag=SCENE.etag, dropped_at="2027-01-01T00:00:00Z")

        again = derive_run_id(scene=later, model=MODEL, options=RunOptions(backend=Backend.BATCH))

        assert again == REQUEST.run_id

    @pytest.mark.parametrize(
        "other",
        [
            {"scene": SceneRef(uri=SCENE.uri, etag="changed", dropped_at=SCENE.dropped_at)},
            {"scene": SceneRef(uri="s3://scenes/y.tif", etag="abc", dropped_at="")},
            {"model": ModelRef(name="ships", uri=MODEL.uri, digest="d2")},
            {"model": ModelRef(name="planes", uri=MODEL.uri, digest="d1")},
            {"options": RunOptions(tolerated_failures=0.1)},
            {"options": RunOptions(score_threshold=0.0)},
            {"options": RunOptions(score_threshold=0.5)},
        ],
    )
    def test_changes_with_what_determines_the_result(self, other: dict[str, Any]):
        parts: dict[str, Any] = {"scene": SCENE, "model": MODEL, "options": RunOptions()}

        assert derive_run_id(**(parts | other)) != REQUEST.run_id

    def test_differs_by_score_threshold(self):
        options = [RunOptions(score_threshold=score) for score in (0.5, 0.6, 0.61)]

        names = {derive_run_id(scene=SCENE, model=MODEL, options=given) for given in options}

        assert len(names) == 3


def test_options_without_a_threshold_are_those_of_other_versions():
    assert RunOptions().to_json() == {"backend": "auto", "tolerated_failures": 0.0}


@given(st.lists(counts, max_size=5))
def test_counts_add_up_field_by_field(parts: list[TileCounts]):
    total = sum(parts, TileCounts())

    assert total.planned == sum(part.planned for part in parts)
    assert total.is_complete == (total.succeeded + total.failed + total.skipped == total.planned)


def test_threads_may_read_the_first_of_a_kind_at_once():
    """Check in a subprocess, because an error would crash the process."""
    program = """
        import sys, threading, tracemalloc
        from concurrent.futures import ThreadPoolExecutor
        from swath.messages import Receipt, TileCounts
        receipt = Receipt(
            run_id="r", index=0, plan_fingerprint="l", tiles=TileCounts(), detections=0, seconds=0.0
        )
        data, together = receipt.to_json(), threading.Barrier(16)
        sys.setswitchinterval(1e-6)
        tracemalloc.start(12)  # slow enough for threads to meet

        def read(_):
            together.wait()
            return Receipt.from_json(data)

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(read, range(16))) == [receipt] * 16
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr.decode()


def test_text_that_is_none_is_refused():
    with pytest.raises(PayloadError, match="surrogates not allowed"):
        RunOptions.from_json({"backend": "\ud800"})


def test_a_merge_always_states_the_members_that_the_event_refers_to():
    """A path of Step Functions into a member that is absent fails the execution."""
    summary = MergeSummary(uri="s3://work/x", detections=0, tiles=TileCounts()).to_json()
    assert (summary["acquisition"], summary["valid_area_m2"]) == ({}, None)


def test_a_given_time_changes_neither_the_run_nor_its_version():
    plain = REQUEST
    scene = structs.replace(plain.scene, acquired_at="2026-05-31T10:00:00Z")
    timed = RunRequest.new(scene=scene, model=plain.model, options=plain.options)
    assert timed.run_id == plain.run_id
    assert SceneVersion.from_request(timed) == SceneVersion.from_request(plain)
