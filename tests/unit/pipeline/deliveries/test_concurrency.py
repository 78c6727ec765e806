"""Events in any order, repeated and at once: one run, of what is there at the end.

A handler is interrupted before any of its requests to S3: another part is uploaded, or another
event is handled from its beginning to its end.
"""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from swath import storage
from tests.helpers import deliveries
from tests.unit.pipeline.deliveries.conftest import Deliveries, deliveries_in_memory

KINDS = {
    "safe": deliveries.safe(),
    "landsat": deliveries.landsat(),
    "planet": deliveries.planet("a", "b"),
}
RUNS = {"safe": 1, "landsat": 1, "planet": 2}
MAX_DEPTH = 3


class World:
    """Uploads and events of one delivery, in an order that a seed decides."""

    def __init__(self, scenes: Deliveries, files: dict[str, bytes], seed: int) -> None:
        self.scenes = scenes
        self.random = random.Random(seed)
        self.uploads = list(files.items())
        self.random.shuffle(self.uploads)
        self.events: list = []
        self.depth = 0
        self.rate = self.random.choice([0.05, 0.2, 0.5])
        scenes.s3.between = self.interrupt

    def interrupt(self) -> None:
        """Act between two requests of a handler, sometimes."""
        if self.depth < MAX_DEPTH and self.random.random() < self.rate:
            self.act()

    def act(self) -> None:
        """Upload a part, or deliver one of the events, some of them twice."""
        if self.uploads and (not self.events or self.random.random() < 0.5):
            path, content = self.uploads.pop()
            self.scenes.wait(seconds=self.random.choice([0, 0, 1]))
            self.events.append(self.scenes.put(f"deliveries/x.SAFE/{path}", content))
        elif self.events:
            event = self.random.choice(self.events)
            if self.random.random() < 0.8:
                self.events.remove(event)
            self.depth += 1
            self.scenes.handle(event)
            self.depth -= 1

    def finish(self) -> None:
        while self.uploads or self.events:
            self.act()


@settings(max_examples=300)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32))
def test_a_delivery_is_run_once(kind, seed):
    with deliveries_in_memory() as scenes:
        world = World(scenes, KINDS[kind], seed)
        world.finish()
        requests = scenes.requests
        assert len(requests) == RUNS[kind]
        note = scenes.note("deliveries/x.SAFE")
        assert not note.is_open
        assert note.started.keys() == KINDS[kind].keys()


@settings(max_examples=100)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32), missing=st.integers(0, 99))
def test_an_incomplete_delivery_is_never_run_and_reported_once(kind, seed, missing):
    files = dict(KINDS[kind])
    del files[sorted(files)[missing % len(files)]]
    with deliveries_in_memory() as scenes:
        world = World(scenes, files, seed)
        world.finish()
        assert scenes.requests == []
        for _ in range(40):
            scenes.wait(minutes=15)
            scenes.watch()
        assert len(scenes.reports) == 1


@settings(max_examples=150)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32))
def test_the_last_run_is_that_of_the_files_that_are_there(kind, seed):
    """Parts are replaced while the delivery is under way, and after it was run."""
    draw = random.Random(seed)
    files = KINDS[kind]
    # What manifests pin by size and MD5 is replaced in vain; Landsat's images are not pinned.
    changeable = [path for path in files if path.endswith(".TIF")]
    changed = draw.sample(changeable, min(2, len(changeable)))
    with deliveries_in_memory() as scenes:
        world = World(scenes, files, seed)
        world.uploads[:0] = [(path, b"changed " + files[path]) for path in changed]
        world.finish()
        for _ in range(40):
            scenes.wait(minutes=15)
            scenes.watch()
        note = scenes.note("deliveries/x.SAFE")
        listed = {
            key.removeprefix("deliveries/x.SAFE/"): content
            for (bucket, key), (content, _) in scenes.s3.objects.items()
            if bucket == "scenes"
        }
        assert listed == files | {path: b"changed " + files[path] for path in changed}
        assert not note.is_open
        last = scenes.requests[-1].scene
        # What the last run was started for is what a handler would see now.
        scenes.s3.between = lambda: None
        manifest = next(
            path
            for path in files
            if path.endswith(("manifest.safe", "_MTL.txt")) or path == "manifest.json"
        )
        again = scenes.drop(f"deliveries/x.SAFE/{manifest}", files[manifest])
        assert again.outcome in {"duplicate", "started"}
        assert scenes.requests[-1].scene.assets == last.assets
        assert scenes.reports == []


def test_a_late_handler_does_not_undo_the_note_of_a_newer_version():
    """A part is replaced and confirmed by a marker just before a handler writes its last note."""
    files, part = deliveries.landsat(), f"{deliveries.LANDSAT_ID}_SR_B5.TIF"
    *first, last = files.items()
    marker = "deliveries/x.done"
    with deliveries_in_memory() as scenes:
        scenes.drop_all("deliveries/x", dict(first))

        def confirm_new_version() -> None:
            if scenes.requests:
                scenes.s3.between = lambda: None
                scenes.wait(seconds=1)
                scenes.put(f"deliveries/x/{part}", b"new")
                scenes.wait(seconds=1)
                assert scenes.drop(marker).outcome == "started"

        scenes.s3.between = confirm_new_version
        outcome = scenes.drop(f"deliveries/x/{last[0]}", last[1]).outcome

        note = scenes.note("deliveries/x")
        assert (outcome, len(scenes.requests)) == ("duplicate", 2)
        assert (note.is_open, note.marker) == (False, f"s3://scenes/{marker}")
        assert note.started[part] == storage.etag(f"s3://scenes/deliveries/x/{part}")
