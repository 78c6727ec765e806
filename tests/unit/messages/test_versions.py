"""Properties of the order of a scene's versions."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.messages.versions import SceneVersion, normalize_sequencer
from tests.helpers.runs import run_request

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TIMES = st.integers(0, 3).map(lambda minutes: NOON + timedelta(minutes=minutes))
SEQUENCERS = st.sampled_from(["", "00A", "00AB", "00B", "1"])
VERSIONS = st.builds(
    SceneVersion,
    uri=st.sampled_from(["s3://a/x.json", "s3://b/x.json"]),
    sequencer=SEQUENCERS,
    dropped_at=TIMES,
    requested_at=TIMES,
)
NUMBERED = st.builds(
    SceneVersion,
    uri=st.just("s3://a/x.json"),
    sequencer=st.sampled_from(["00A", "00AB", "00B", "1"]),
    dropped_at=TIMES,
    requested_at=TIMES,
)
BY_TIME = st.builds(
    SceneVersion,
    uri=st.sampled_from(["s3://a/x.json", "s3://b/x.json"]),
    sequencer=st.just(""),
    dropped_at=TIMES,
    requested_at=TIMES,
)


@given(VERSIONS, VERSIONS)
def test_of_two_versions_at_most_one_is_the_later(one, other):
    assert not (one.is_later_than(other) and other.is_later_than(one))
    assert not one.is_later_than(one)


@given(VERSIONS, VERSIONS)
def test_drops_that_differ_are_ordered_unless_all_their_times_are_equal(one, other):
    if not (one.is_later_than(other) or other.is_later_than(one)):
        assert one.requested_at == other.requested_at
        assert one.is_same_drop(other) or (
            one.uri != other.uri and one.dropped_at == other.dropped_at
        )


@given(
    st.one_of(st.lists(NUMBERED, min_size=3, max_size=3), st.lists(BY_TIME, min_size=3, max_size=3))
)
def test_versions_of_one_kind_have_one_order(versions):
    for one, two, three in permutations(versions):
        if one.is_later_than(two) and two.is_later_than(three):
            assert one.is_later_than(three)


@given(VERSIONS, VERSIONS)
def test_sequencers_of_two_keys_do_not_count(one, other):
    if one.uri != other.uri:
        plain = [
            SceneVersion(
                uri=v.uri, sequencer="", dropped_at=v.dropped_at, requested_at=v.requested_at
            )
            for v in (one, other)
        ]
        assert one.is_later_than(other) == plain[0].is_later_than(plain[1])
        assert not one.is_same_drop(other)


@given(VERSIONS, VERSIONS)
def test_the_drops_of_two_versions_are_the_same_in_both_directions(one, other):
    assert one.is_same_drop(other) == other.is_same_drop(one)


@given(VERSIONS, VERSIONS)
def test_a_version_merged_with_another_one_is_no_earlier_than_either(one, other):
    merged = one.merge_with(other)
    assert merged.uri == one.uri
    assert not one.is_later_than(merged)
    if one.uri == other.uri and bool(one.sequencer) == bool(other.sequencer):
        assert not other.is_later_than(merged)


@pytest.mark.parametrize(("uri", "later"), [("s3://a/x.json", True), ("s3://b/x.json", False)])
def test_a_request_s_version_has_its_address(uri, later):
    first = run_request(uri="s3://a/x.json", sequencer="0B", minutes=5)
    second = run_request(uri=uri, sequencer="0C")
    assert SceneVersion.from_request(second).uri == uri
    found = SceneVersion.from_request(second).is_later_than(SceneVersion.from_request(first))
    assert found == later


def test_an_item_s_version_is_ordered_as_a_file_s():
    asked = run_request(sequencer="0a00")
    scene = msgspec.structs.replace(asked.scene, scene_id="s2/item")
    item = msgspec.structs.replace(asked, scene=scene)
    assert SceneVersion.from_request(item) == SceneVersion.from_request(asked)


@given(st.lists(st.text("0123456789abcdef", max_size=8), min_size=2, max_size=2))
def test_sequencers_are_ordered_as_if_they_were_padded(sequencers):
    padded = [text.upper().ljust(8, "0") for text in sequencers]
    one, other = map(normalize_sequencer, sequencers)
    assert (one > other, one == other) == (padded[0] > padded[1], padded[0] == padded[1])
