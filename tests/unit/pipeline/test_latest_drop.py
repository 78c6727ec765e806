"""Tests of the note of a scene's latest drop: storage, replacement by ETag, and names."""

import dataclasses
import re

import msgspec
import pytest

from swath.messages import ModelRef, RunOptions, RunRequest, SceneRef
from swath.pipeline.latest_drop import LatestDrop, unique_execution_name

NAME = re.compile(r"[0-9A-Za-z_-]{1,80}")
"""Step Functions' names of executions, without characters that swath does not use."""


def request(sequencer="", dropped_at="2026-11-21T12:00:00Z", uri="s3://incoming/a.tif", **scene):
    return RunRequest.new(
        scene=SceneRef(uri=uri, etag="e", dropped_at=dropped_at, sequencer=sequencer, **scene),
        model=ModelRef(name="ships", uri="s3://models/ships", digest="d"),
        options=RunOptions(),
    )


def test_a_note_is_read_as_it_was_written(tmp_path):
    note, uri = LatestDrop.from_request(request("0A1"), "run-0A1"), str(tmp_path / "note.json")

    assert LatestDrop.read(uri) == (None, None)
    assert note.write(uri, None)
    found, etag = LatestDrop.read(uri)
    assert (found, found.execution) == (note, "run-0A1")
    # A writer without the latest ETag replaces nothing.
    assert not note.with_later_drop(note.request.scene).write(uri, "another")
    assert note.write(uri, etag)


def test_versions_of_an_item_share_a_note_whatever_their_keys():
    item, moved, other = (
        LatestDrop.note_uri("w", request(uri=f"s3://incoming/{key}.json", scene_id=scene_id))
        for key, scene_id in (("a", "s2/A"), ("b", "s2/A"), ("a", "s2/B"))
    )

    assert item == moved != other


def test_the_note_of_a_plain_file_is_where_earlier_versions_of_swath_look_for_it():
    name = "e7593f9858584e7f74ca7f592b02e1feacfb38eb0e042a4dd550d97624d59d15"

    assert LatestDrop.note_uri("w", request()) == f"w/scenes/{name}.json"


def test_a_note_that_nobody_can_read_is_replaced_by_its_etag(tmp_path):
    path = tmp_path / "note.json"
    path.write_text("{")
    found, etag = LatestDrop.read(str(path))

    assert found is None
    assert LatestDrop.from_request(request(), "x").write(str(path), etag)


def test_a_note_does_not_change():
    note = LatestDrop.from_request(request(), "x")

    with pytest.raises((AttributeError, dataclasses.FrozenInstanceError), match="immutable"):
        note.execution = "y"


def test_the_same_bytes_dropped_again_wait_for_an_execution():
    note = LatestDrop.from_request(request("0A1"), "x")
    later = msgspec.structs.replace(
        note.request.scene, sequencer="0A2", dropped_at="2026-11-21T12:00:05Z"
    )

    waiting = note.with_later_drop(later)
    taken = waiting.for_waiting_drop()

    assert (note.is_waiting, waiting.is_waiting, taken.is_waiting) == (False, True, False)
    assert waiting.request == note.request
    assert taken.request.scene == later
    assert (
        taken.execution
        == unique_execution_name(taken.request)
        != unique_execution_name(note.request)
    )


@pytest.mark.parametrize(
    ("sequencer", "ending"),
    [
        ("00628b0c1f3e5a7d", "00628B0C1F3E5A7D"),
        # Trailing zeros have no meaning.
        ("0055aed6dcd90281e500", "0055AED6DCD90281E5"),
        # Without a sequencer, the name has the time in seconds.
        ("", "1795262400"),
        ("A" * 43, "A" * 43),
    ],
)
def test_an_execution_is_named_after_its_drop(sequencer, ending):
    one = request(sequencer)

    assert unique_execution_name(one) == f"{one.run_id}-{ending}"
    assert NAME.fullmatch(unique_execution_name(one))


@pytest.mark.parametrize("sequencer", ["A" * 44, "A" * 1000, "a/b", "ä", "0A1 "])
def test_what_no_execution_can_be_named_after_has_a_digest(sequencer):
    one, other = request(sequencer), request(sequencer + "1")

    assert NAME.fullmatch(unique_execution_name(one))
    assert unique_execution_name(one) == unique_execution_name(one)
    assert unique_execution_name(one).removeprefix(one.run_id) != unique_execution_name(
        other
    ).removeprefix(other.run_id)
