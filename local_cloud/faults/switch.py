"""Switch the faults of a running local cloud on and off, from another process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

import msgspec

from local_cloud.errors import LocalCloudError
from local_cloud.faults.edge import PATH
from local_cloud.faults.kinds import Fault


@dataclass(frozen=True, slots=True)
class Switched:
    """Fault that is on."""

    endpoint: str
    number: int

    @classmethod
    def on(cls, endpoint: str, fault: Fault) -> Switched:
        """Switch a fault on.

        Raises:
            LocalCloudError: The local cloud does not know the fault.
        """
        return cls(endpoint, _call(endpoint, "POST", "", msgspec.json.encode(fault)))

    @property
    def met(self) -> int:
        """Number of times that the fault has occurred so far."""
        return _call(self.endpoint, "GET", f"/{self.number}")

    def off(self) -> int:
        """Switch the fault off; return how often it occurred."""
        return _call(self.endpoint, "DELETE", f"/{self.number}")


def _call(endpoint: str, method: str, path: str, body: bytes | None = None) -> int:
    request = urllib.request.Request(f"{endpoint}{PATH}{path}", data=body, method=method)  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - ours
            number: int = json.loads(answer.read())
            return number
    except urllib.error.HTTPError as error:
        raise LocalCloudError(f"the fault is refused: {error.read().decode()}") from None
