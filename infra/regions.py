"""Check the settings against the offers of an AWS region, and adapt the defaults to them.

`python -m infra.update_regions` generates `regions.json`, the table of commercial regions. A region
that is not in the table, such as one that AWS has just opened, is not checked.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from infra.instance_types import family
from infra.settings import DeploySettings
from swath.errors import SettingsError
from swath.settings import EndpointKind, has_gpu

TABLE = Path(__file__).with_name("regions.json")
DEFAULTS = DeploySettings()
# Instance types with one GPU for endpoints; a region's default is the first one that it has.
ENDPOINT_HOSTS = (DEFAULTS.endpoint_instance_type, "ml.g6.xlarge", "ml.g4dn.xlarge")


@dataclass(frozen=True, slots=True)
class Region:
    """Region of AWS.

    Attributes:
        name: Name, such as `eu-west-1`.
        zones: Number of availability zones that every account has.
        hosts: EC2's instance types with a GPU that swath can use.
        endpoint_hosts: SageMaker's instance types for endpoints that swath can use.
        lacks: Resource types of the stack that the region does not have.
    """

    name: str
    zones: int
    hosts: frozenset[str]
    endpoint_hosts: frozenset[str]
    lacks: frozenset[str]

    @classmethod
    def named(cls, name: str) -> Self | None:
        """Return the region of a name; None if it is not in the table."""
        table = _table()
        if name not in table["zones"]:
            return None
        return cls(
            name,
            table["zones"][name],
            _in_region(table["hosts"], name),
            _in_region(table["endpoint_hosts"], name),
            frozenset(kind for kind, regions in table["lacks"].items() if name in regions.split()),
        )

    def gpu_types(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return the wanted EC2 types and families that the region has, in the given order."""
        there = self.hosts | {family(name) for name in self.hosts}
        return tuple(name for name in wanted if name in there)


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that the settings request and a region does not have.

    Attributes:
        what: Name of the missing thing, with the setting that requests it.
        remedy: Instruction to change settings, in the imperative.
    """

    what: str
    remedy: str


def fit(settings: DeploySettings, region: Region | None) -> DeploySettings:
    """Return the settings with their defaults adapted to a region; unchanged without a region.

    Raises:
        SettingsError: The region lacks something; the error names the setting to change.
    """
    if region is None:
        return settings
    fitted = with_defaults(settings, region)
    for lack in lacks(fitted, region):
        raise SettingsError(f"the region {region.name} has no {lack.what}; {lack.remedy}")
    return fitted


def lacks(settings: DeploySettings, region: Region) -> Iterator[Lack]:
    """Yield the things that the settings request and a region lacks."""
    if settings.has_gpu_queue:
        asked = settings.gpu_instance_types
        if missing := [name for name in asked if name not in region.gpu_types(asked)]:
            others = _some(name for name in region.hosts if name.endswith(".xlarge"))
            yield Lack(
                f"{', '.join(missing)} of the deploy setting 'gpu_instance_types'",
                f"set it to {others}, or set 'backend' to 'lambda'"
                if others
                else "set 'backend' to 'lambda'",
            )
    if settings.endpoints and "AWS::SageMaker::Endpoint" in region.lacks:
        yield Lack("SageMaker endpoints", "set 'endpoints' to an empty text")
    elif _on_hosts(settings) and settings.endpoint_instance_type not in region.endpoint_hosts:
        small = [name for name in region.endpoint_hosts if name.endswith(".xlarge")]
        others = _some(name for name in small if has_gpu(name)) or _some(small)
        yield Lack(
            f"{settings.endpoint_instance_type} of the deploy setting 'endpoint_instance_type'",
            f"set it to {others}" if others else "set 'endpoints' to 'serverless' or an empty text",
        )


def with_defaults(settings: DeploySettings, region: Region) -> DeploySettings:
    """Return the settings with their defaults narrowed to the types that a region has.

    A default of which the region has no type stays.
    """
    changes: dict[str, Any] = {}
    if settings.gpu_instance_types == DEFAULTS.gpu_instance_types:
        changes["gpu_instance_types"] = region.gpu_types(settings.gpu_instance_types)
    if settings.endpoint_instance_type == DEFAULTS.endpoint_instance_type:
        there = (name for name in ENDPOINT_HOSTS if name in region.endpoint_hosts)
        changes["endpoint_instance_type"] = next(there, "")
    return dataclasses.replace(
        settings, **{name: value for name, value in changes.items() if value}
    )


def _on_hosts(settings: DeploySettings) -> bool:
    return bool({EndpointKind.REALTIME, EndpointKind.ASYNC} & set(settings.endpoints))


def _some(names: Iterable[str]) -> str:
    return " or ".join(sorted(names)[:3])


def names() -> list[str]:
    """Return the names of all regions in the table."""
    return sorted(_table()["zones"])


def _in_region(groups: list[dict[str, str]], name: str) -> frozenset[str]:
    found = (group["types"].split() for group in groups if name in group["regions"].split())
    return frozenset(kind for types in found for kind in types)


@functools.cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table
