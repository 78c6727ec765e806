"""Tests of plans in work buckets: each is read as it was written, or refused."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from swath.errors import PayloadError
from swath.messages import PLAN_VERSION
from swath.pipeline.plan import read_plan
from swath.raster.band_units import Unit
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
    assert plan.fingerprint == "a07cd79767d2786c"


@pytest.fixture
def stacked():
    """Return a plan of a scene of several files."""
    return read_plan(str(PLANS / f"v{PLAN_VERSION}-stack.json"))


def with_stack(plan, **changes):
    return msgspec.structs.replace(plan, stack=msgspec.structs.replace(plan.stack, **changes))


def with_first(items, **changes):
    return [msgspec.structs.replace(items[0], **changes), *items[1:]]


def test_a_plan_with_other_warnings_or_access_keeps_its_fingerprint(stacked):
    """Check an update of swath between two plans of a run: shards that are done stay valid."""
    asset = with_first(stacked.stack.assets, region="us-west-2", requester_pays=True)

    for changes in ({"warnings": ["Another wording."]}, {"warnings": []}, {"assets": asset}):
        assert with_stack(stacked, **changes).fingerprint == stacked.fingerprint


def test_a_plan_of_other_pixels_has_another_fingerprint(stacked):
    """Check that receipts of an earlier run of the same document do not count."""
    stack = stacked.stack
    assets, bands, place = stack.assets, stack.bands, stack.georeference
    moved = msgspec.structs.replace(place, transform=(10.0, 0.0, 1.0, 0.0, -10.0, 2.0))
    changed = [
        {"assets": with_first(assets, etag="another")},
        {"assets": with_first(assets, uri="s3://scenes/another.tif")},
        {"bands": with_first(bands, band=2)},
        {"bands": with_first(bands, nodata=7.0)},
        {"bands": with_first(bands, unit=Unit(scale=3.0))},
        {"bands": with_first(bands, name="another")},
        {"bands": bands[::-1]},
        {"resampling": "cubic"},
        {"width": stack.width + 1},
        {"scale": (1.0, 1.5)},
        {"georeference": moved},
    ]

    found = [with_stack(stacked, **changes).fingerprint for changes in changed]

    assert len({stacked.fingerprint, *found}) == 1 + len(changed)


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
