"""Step Functions' "Execution Status Change" events about runs that ended.

https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from swath.payloads import RunRequest


class EndedExecution(msgspec.Struct, frozen=True):
    """The fields of an event's `detail` that every reader of it needs."""

    stop: int = msgspec.field(name="stopDate")
    """Milliseconds since 1970."""
    request: str = msgspec.field(name="input")

    @property
    def ended_at(self) -> datetime:
        """When the execution ended."""
        return datetime.fromtimestamp(self.stop / 1000, UTC)

    def run_request(self) -> RunRequest:
        """Return the run that the execution was started with.

        Raises:
            msgspec.MsgspecError: its input is no JSON.
            PayloadError: its input is no run.
        """
        return RunRequest.from_json(msgspec.json.decode(self.request))
