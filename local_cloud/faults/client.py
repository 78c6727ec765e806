"""Switch the faults of a running local cloud on and off, from another process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

import msgspec

from local_cloud.errors import LocalCloudError
from local_cloud.faults.kinds import Fault
from local_cloud.faults.middleware import FAULTS_PATH


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """Fault that is switched on."""

    endpoint: str
    number: int

    @classmethod
    def switch_on(cls, endpoint: str, fault: Fault) -> ActiveFault:
        """Switch a fault on.

        Raises:
            LocalCloudError: The local cloud does not know the fault.
        """
        return cls(endpoint, _call(endpoint, "POST", "", msgspec.json.encode(fault)))

    @property
    def occurrences(self) -> int:
        """Number of times that the fault has occurred so far."""
        return _call(self.endpoint, "GET", f"/{self.number}")

    def switch_off(self) -> int:
        """Switch the fault off; return how often it occurred."""
        return _call(self.endpoint, "DELETE", f"/{self.number}")


def _call(endpoint: str, method: str, path: str, body: bytes | None = None) -> int:
    request = urllib.request.Request(f"{endpoint}{FAULTS_PATH}{path}", data=body, method=method)  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - ours
            number: int = json.loads(response.read())
            return number
    except urllib.error.HTTPError as error:
        raise LocalCloudError(
            f"the local cloud refuses the fault: {error.read().decode()}"
        ) from None
