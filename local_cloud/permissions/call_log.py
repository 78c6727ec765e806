"""Record decisions about permissions in a file for other processes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

from local_cloud.permissions.policies import Call

CALLS_FILE = "calls.jsonl"


class CallLog:
    """File with one line of JSON for each distinct decision."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._written: set[tuple[Call, bool]] = set()

    def add(self, call: Call, *, allowed: bool) -> None:
        """Write a decision, unless the file has it already."""
        with self._lock:
            if (call, allowed) in self._written:
                return
            self._written.add((call, allowed))
            line = {
                "role": call.role,
                "action": call.action,
                "resource": call.resource,
                "context": dict(call.context),
                "allowed": allowed,
            }
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def read_calls(path: Path) -> Iterator[tuple[Call, bool]]:
    """Yield each recorded call and whether it was allowed."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        entry = json.loads(line)
        context = tuple(sorted(entry["context"].items()))
        yield Call(entry["role"], entry["action"], entry["resource"], context), entry["allowed"]
