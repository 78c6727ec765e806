import tempfile
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from swath import storage
from swath.pipeline.deliveries.note import DeliveryNote, due_folder, last_due, mark_due, note_uri


@given(st.integers(0, 2**31))
def test_a_check_is_due_in_its_time_and_at_most_a_step_later(seconds):
    moment = datetime.fromtimestamp(seconds, UTC)
    with tempfile.TemporaryDirectory() as work:
        mark_due(work, "s3://b/x", moment)
        (path,) = storage.list_objects(due_folder(work), 10)
    assert path > last_due(moment - timedelta(minutes=1))
    assert path <= last_due(moment + timedelta(minutes=15))


def test_notes_take_turns(tmp_path):
    uri = note_uri(str(tmp_path), "s3://b/x")
    assert uri != note_uri(str(tmp_path), "s3://b/y")
    note = DeliveryNote(folder="s3://b/x", opened_at="2026-01-01T00:00:00+00:00")
    etag = note.write(uri, None)
    assert etag
    assert note.write(uri, None) is None
    assert DeliveryNote.read(uri) == (note, etag)
    storage.write_bytes(uri, b"{}")
    assert DeliveryNote.read(uri)[0] is None
