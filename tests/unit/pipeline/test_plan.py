"""Tests of plans in work buckets: each is read as it was written, or refused."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from swath.errors import PayloadError
from swath.messages import PLAN_VERSION
from swath.pipeline.plan import read_plan
from swath.storage.checked_json import read_checked, write_checked

PLANS = Path(__file__).parent / "plans"
PLAN = read_checked(str(PLANS / f"v{PLAN_VERSION}.json"))


def test_a_plan_of_another_version_of_swath_is_refused_in_a_sentence(tmp_path):
    uri = str(tmp_path / "plan.json")
    for version in (None, 0, PLAN_VERSION + 1):
        write_checked(uri, PLAN | {"version": version})

        with pytest.raises(PayloadError, match="another version of swath; drop the scene"):
            read_plan(uri)


def test_a_plan_as_this_version_has_always_written_it_is_read():
    """Check the stored plan. A change that fails here needs a new PLAN_VERSION, and a plan here."""
    written = PLANS / f"v{PLAN_VERSION}.json"

    plan = read_plan(str(written))

    assert json.loads(json.dumps(plan.to_json())) == read_checked(str(written))
    assert plan.tiles(0).tolist() == [1, 2, 4, 5]
    # Receipts in work buckets hold this fingerprint.
    assert plan.fingerprint == "fa32a237dc06b73a"
    assert plan.output_spec.classes == ("ship",)


def test_a_plan_with_a_stack_is_read_as_this_version_has_always_written_it():
    written = PLANS / f"v{PLAN_VERSION}-stack.json"

    plan = read_plan(str(written))

    assert json.loads(json.dumps(plan.to_json())) == read_checked(str(written))
    assert plan.pixel_scale == (2.0, 1.5)
    assert plan.scene.identity == "sentinel-2-l2a/S2A_33UUP"
    assert plan.fingerprint == "f7104d57771d195f"


def test_a_plan_of_other_files_has_another_fingerprint():
    """Check that receipts of an earlier run of the same document do not count."""
    plan = read_plan(str(PLANS / f"v{PLAN_VERSION}-stack.json"))
    first, *others = plan.stack.assets
    replaced = [msgspec.structs.replace(first, etag="another"), *others]
    stack = msgspec.structs.replace(plan.stack, assets=replaced)

    assert msgspec.structs.replace(plan, stack=stack).fingerprint != plan.fingerprint


def test_a_plan_of_an_earlier_version_is_refused():
    for version in range(1, PLAN_VERSION):
        with pytest.raises(PayloadError, match="another version of swath; drop the scene"):
            read_plan(str(PLANS / f"v{version}.json"))


def test_a_plan_that_is_not_there_is_refused_with_the_remedy(tmp_path):
    uri = tmp_path / "plan.json"

    with pytest.raises(PayloadError, match=f"no plan at {re.escape(str(uri))}; drop the scene"):
        read_plan(str(uri))


@pytest.mark.parametrize("key", sorted(PLAN.keys() - {"version"}))
@pytest.mark.parametrize("value", [{"x": [1]}, [{"x": 1}]], ids=repr)
def test_a_plan_with_a_damaged_field_is_refused_by_its_address(tmp_path, key, value):
    uri = tmp_path / "plan.json"
    write_checked(str(uri), PLAN | {key: value})

    with pytest.raises(PayloadError, match=f"^the plan {re.escape(str(uri))} is damaged: "):
        read_plan(str(uri))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[1,"])
def test_a_plan_that_is_damaged_is_refused(tmp_path, content):
    (tmp_path / "plan.json").write_bytes(content)

    with pytest.raises(PayloadError, match=r"plan\.json is damaged: .*; drop the scene again"):
        read_plan(str(tmp_path / "plan.json"))


@pytest.mark.parametrize(
    ("shards", "expected"),
    [((0, 1), [0, 1]), ((0,), [0, -1]), ((1,), [-1, 0]), ((), [-1, -1])],
)
def test_a_plan_tells_of_rectangles_without_a_live_tile(shards, expected):
    plan = read_plan(str(PLANS / f"v{PLAN_VERSION}.json"))
    halves = msgspec.structs.replace(plan, row_cuts=(0, 1, 2), skipped="", shards=shards)

    assert halves.shard_numbers([0, 5]).tolist() == expected
