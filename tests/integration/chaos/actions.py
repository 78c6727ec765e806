"""Actions on a cloud while its runs are active."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ResponseStreamingError

from tests.integration.pipeline import Pipeline, eventually, query_with_retries

_AT_WORK_SECONDS = 10.0


@contextlib.contextmanager
def without_notifications(pipeline: Pipeline) -> Iterator[None]:
    """Let EventBridge lose what S3 sends."""
    events = pipeline.client("events")
    names = [r["Name"] for r in events.list_rules()["Rules"] if r["State"] == "ENABLED"]
    for name in names:
        events.disable_rule(Name=name)
    try:
        yield
    finally:
        for name in names:
            events.enable_rule(Name=name)


def kill(pipeline: Pipeline, word: str) -> int:
    """Kill this cloud's processes of a kind at work, as a host that fails does; return how many.

    Other clouds may run on the machine: only children of this one's server are touched.

    Args:
        pipeline: the cloud.
        word: what the command lines of the processes have.
    """
    (server,) = [
        int(process.name)
        for process in _processes()
        if _is(process, "local_cloud.server") and _is(process, str(pipeline.cloud.folder))
    ]
    idle = {process: _used(process) for process in _children(server, word)}

    def at_work() -> list[Path]:
        return [p for p in _children(server, word) if _used(p) > idle.get(p, 0) + 1]

    with contextlib.suppress(TimeoutError):
        eventually(at_work, f"{word} at work", _AT_WORK_SECONDS, fails=TimeoutError)
    killed = 0
    for process in _children(server, word):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process.name), signal.SIGKILL)
            killed += 1
    return killed


def cut_connections(pipeline: Pipeline) -> None:
    """End every connection to the database, as its restart does."""
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    query_with_retries(pipeline.cloud.dsn(), lambda connection: connection.execute(end))


def damage_object(pipeline: Pipeline, uri: str, rng: random.Random, *, delete: bool) -> str:
    """Delete or damage an object that a run has in the work bucket; return its key, or nothing."""
    s3, bucket = pipeline.client("s3"), pipeline.outputs["WorkBucket"]

    def objects() -> list[str]:
        known = {str(run.run_id) for run in pipeline.query("SELECT run_id FROM swath.runs")}
        found = s3.list_objects_v2(Bucket=bucket, Prefix="runs/").get("Contents", [])
        return [o["Key"] for o in found if o["Key"].split("/")[1] not in known]

    def some() -> list[str]:
        return objects() or ([""] if pipeline.runs(uri) else [])

    key = rng.choice(eventually(some, "an object to spoil", 60))
    if key:
        eventually(
            lambda: _damage_object(s3, bucket, key, rng, delete=delete), f"{key} to be spoiled"
        )
    return key


def _damage_object(s3: Any, bucket: str, key: str, rng: random.Random, *, delete: bool) -> bool:
    """Spoil an object; return whether the faults of S3 let us."""
    try:
        if delete:
            s3.delete_object(Bucket=bucket, Key=key)
            return True
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        damaged = rng.choice([b"damaged", b"", b"{}", content[: len(content) // 2]])
        s3.put_object(Bucket=bucket, Key=key, Body=damaged)
    except s3.exceptions.NoSuchKey:
        return True
    except (s3.exceptions.ClientError, ResponseStreamingError):
        return False
    return True


def _processes() -> Iterator[Path]:
    return Path("/proc").glob("[0-9]*")


def _children(server: int, word: str) -> list[Path]:
    found = []
    for process in _processes():
        with contextlib.suppress(OSError):
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == server and _is(process, word):
                found.append(process)
    return found


def _used(process: Path) -> int:
    """Return the ticks of processor time that a process has had."""
    with contextlib.suppress(OSError):
        fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    return 0


def _is(process: Path, word: str) -> bool:
    with contextlib.suppress(OSError):
        return word.encode() in (process / "cmdline").read_bytes()
    return False
