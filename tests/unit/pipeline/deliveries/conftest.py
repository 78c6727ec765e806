"""A bucket for deliveries whose events start_run handles; AWS is in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from swath.messages import ModelRef, RunRequest
from swath.pipeline.deliveries.note import DeliveryNote, note_uri
from swath.pipeline.deliveries.start import DeliveryStarter
from swath.pipeline.deliveries.watch import WatchSummary, watch_deliveries
from swath.pipeline.start import Drop, StartSummary
from swath.settings import StartRunSettings
from swath.storage import s3_objects
from tests.helpers.memory_s3 import NOON, MemoryS3
from tests.helpers.state_machine import MACHINE, States

CATALOG = {
    name: ModelRef(name=name, uri=f"s3://models/{name}.tar.gz", digest="d")
    for name in ("ships", "trees")
}


class Deliveries:
    """Deliveries to the bucket `scenes`."""

    def __init__(self, s3: MemoryS3) -> None:
        self.s3 = s3
        self.states = States(NOON)
        self.reports: list[dict[str, Any]] = []
        self.settings = StartRunSettings(
            state_machine_arn=MACHINE,
            catalog_uri="",
            default_model="ships",
            work_uri="s3://work",
            delivery_hours=6,
        )

    @property
    def now(self) -> datetime:
        return self.s3.now

    def wait(self, **time: float) -> None:
        self.s3.now += timedelta(**time)
        self.states.now = self.s3.now

    def put(self, key: str, content: bytes = b"") -> Drop:
        """Put an object, and return its event, which is not delivered yet."""
        self.s3.objects["scenes", key] = content, self.now
        return Drop(
            bucket="scenes",
            key=key,
            etag=hashlib.md5(content).hexdigest(),  # noqa: S324
            size=len(content),
            dropped_at=self.now.isoformat(),
            sequencer="1",
        )

    def handle(self, drop: Drop) -> StartSummary:
        return self._starter().handle_drop(drop)

    def drop(self, key: str, content: bytes = b"") -> StartSummary:
        """Put an object and deliver its event."""
        return self.handle(self.put(key, content))

    def drop_all(self, folder: str, files: dict[str, bytes]) -> list[str]:
        """Drop files one after the other, and return the outcomes."""
        outcomes = []
        for path, content in files.items():
            outcomes.append(self.drop(f"{folder}/{path}", content).outcome)
            self.wait(seconds=1)
        return outcomes

    def watch(self) -> WatchSummary:
        return watch_deliveries(self._starter(), self.reports.append)

    def note(self, folder: str) -> DeliveryNote | None:
        return DeliveryNote.read(note_uri("s3://work", f"s3://scenes/{folder}"))[0]

    @property
    def requests(self) -> list[RunRequest]:
        """Requests of all executions, in the order of their start."""
        return [
            RunRequest.from_json(json.loads(execution["input"]))
            for execution in self.states.executions.values()
        ]

    def _starter(self) -> DeliveryStarter:
        return DeliveryStarter(
            settings=self.settings, catalog=CATALOG, now=self.now, sfn=self.states
        )


@contextmanager
def deliveries_in_memory() -> Iterator[Deliveries]:
    """Replace S3 by one in memory; a property test has a new one for each example."""
    client = MemoryS3()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3_objects, "s3", lambda: client)
        yield Deliveries(client)


@pytest.fixture
def scenes() -> Iterator[Deliveries]:
    with deliveries_in_memory() as deliveries:
        yield deliveries
