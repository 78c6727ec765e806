"""Step Functions' "Execution Status Change" events about runs that ended.

https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from swath.errors import PayloadError
from swath.payloads import RunRequest


class EndedExecution(msgspec.Struct, frozen=True):
    """The fields of an event's `detail` that every reader of it needs."""

    stop: int = msgspec.field(name="stopDate")
    """Milliseconds since 1970."""
    request: str = msgspec.field(name="input")

    @classmethod
    def read(cls, detail: Any) -> Self:
        """Read an event's `detail`, whatever text the words of a failing program are.

        Raises:
            msgspec.ValidationError: this is not such an event.
        """
        # Half of a surrogate pair is possible in JSON, and not in UTF-8.
        text = json.dumps(detail, ensure_ascii=False).encode(errors="replace")
        return msgspec.convert(json.loads(text), cls)

    @property
    def ended_at(self) -> datetime:
        """When the execution ended.

        Raises:
            PayloadError: it is no time.
        """
        try:
            return datetime.fromtimestamp(self.stop / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            raise PayloadError(f"{self.stop} ms since 1970 is no time") from None

    def run_request(self) -> RunRequest:
        """Return the run that the execution was started with.

        Raises:
            msgspec.MsgspecError: its input is no JSON.
            PayloadError: its input is no run.
        """
        return RunRequest.from_json(msgspec.json.decode(self.request))
