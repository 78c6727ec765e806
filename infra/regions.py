"""Check the settings against the offers of an AWS region, and adapt the defaults to them.

`python -m infra.update_regions` generates `regions.json`, the table of commercial regions. A region
that is not in the table, such as one that AWS has just opened, is not checked.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from infra.instance_types import family
from infra.settings import DeploySettings
from swath.errors import SettingsError
from swath.settings import EndpointKind, has_gpu

TABLE_PATH = Path(__file__).with_name("regions.json")
DEFAULT_SETTINGS = DeploySettings()
# Instance types with one GPU for endpoints; a region's default is the first one that it has.
ENDPOINT_HOST_PREFERENCE = (
    DEFAULT_SETTINGS.endpoint_instance_type,
    "ml.g6.xlarge",
    "ml.g4dn.xlarge",
)


@dataclass(frozen=True, slots=True)
class Region:
    """Region of AWS.

    Attributes:
        name: Name, such as `eu-west-1`.
        zones: Number of availability zones that every account has.
        hosts: EC2's instance types with a GPU that swath can use.
        endpoint_hosts: SageMaker's instance types for endpoints that swath can use.
        missing_resource_types: Resource types of the stack that the region does not have.
    """

    name: str
    zones: int
    hosts: frozenset[str]
    endpoint_hosts: frozenset[str]
    missing_resource_types: frozenset[str]

    @classmethod
    def from_name(cls, name: str) -> Self | None:
        """Return the region of a name; None if it is not in the table."""
        table = _read_table()
        if name not in table["zones"]:
            return None
        return cls(
            name,
            table["zones"][name],
            _types_in_region(table["hosts"], name),
            _types_in_region(table["endpoint_hosts"], name),
            frozenset(kind for kind, regions in table["lacks"].items() if name in regions.split()),
        )

    def available_gpu_types(self, requested: Sequence[str]) -> tuple[str, ...]:
        """Return the wanted EC2 types and families that the region has, in the given order."""
        available = self.hosts | {family(name) for name in self.hosts}
        return tuple(name for name in requested if name in available)


@dataclass(frozen=True, slots=True)
class MissingOffer:
    """Something that the settings request and a region does not have.

    Attributes:
        name: Name of the missing thing, with the setting that requests it.
        remedy: Instruction to change settings, in the imperative.
    """

    name: str
    remedy: str


def adapt_settings(settings: DeploySettings, region: Region | None) -> DeploySettings:
    """Return the settings with their defaults adapted to a region; unchanged without a region.

    Raises:
        SettingsError: The region lacks something; the error names the setting to change.
    """
    if region is None:
        return settings
    fitted = adapt_defaults(settings, region)
    for missing in missing_offers(fitted, region):
        raise SettingsError(f"the region {region.name} has no {missing.name}; {missing.remedy}")
    return fitted


def missing_offers(settings: DeploySettings, region: Region) -> Iterator[MissingOffer]:
    """Yield the things that the settings request and a region lacks."""
    if settings.has_gpu_queue:
        requested = settings.gpu_instance_types
        available = region.available_gpu_types(requested)
        if missing := [name for name in requested if name not in available]:
            others = _list_some(name for name in region.hosts if name.endswith(".xlarge"))
            yield MissingOffer(
                f"{', '.join(missing)} of the deploy setting 'gpu_instance_types'",
                f"set it to {others}, or set 'backend' to 'lambda'"
                if others
                else "set 'backend' to 'lambda'",
            )
    if settings.endpoints and "AWS::SageMaker::Endpoint" in region.missing_resource_types:
        yield MissingOffer("SageMaker endpoints", "set 'endpoints' to an empty string")
    elif (
        _has_hosted_endpoint(settings)
        and settings.endpoint_instance_type not in region.endpoint_hosts
    ):
        small = [name for name in region.endpoint_hosts if name.endswith(".xlarge")]
        others = _list_some(name for name in small if has_gpu(name)) or _list_some(small)
        yield MissingOffer(
            f"{settings.endpoint_instance_type} of the deploy setting 'endpoint_instance_type'",
            f"set it to {others}"
            if others
            else "set 'endpoints' to 'serverless' or an empty string",
        )


def adapt_defaults(settings: DeploySettings, region: Region) -> DeploySettings:
    """Return the settings with their defaults narrowed to the types that a region has.

    A default of which the region has no type stays.
    """
    changes: dict[str, Any] = {}
    if settings.gpu_instance_types == DEFAULT_SETTINGS.gpu_instance_types:
        changes["gpu_instance_types"] = region.available_gpu_types(settings.gpu_instance_types)
    if settings.endpoint_instance_type == DEFAULT_SETTINGS.endpoint_instance_type:
        available = (name for name in ENDPOINT_HOST_PREFERENCE if name in region.endpoint_hosts)
        changes["endpoint_instance_type"] = next(available, "")
    return dataclasses.replace(
        settings, **{name: value for name, value in changes.items() if value}
    )


def _has_hosted_endpoint(settings: DeploySettings) -> bool:
    return bool({EndpointKind.REALTIME, EndpointKind.ASYNC} & set(settings.endpoints))


def _list_some(names: Iterable[str]) -> str:
    return " or ".join(sorted(names)[:3])


def region_names() -> list[str]:
    """Return the names of all regions in the table."""
    return sorted(_read_table()["zones"])


def _types_in_region(groups: list[dict[str, str]], name: str) -> frozenset[str]:
    types = (group["types"].split() for group in groups if name in group["regions"].split())
    return frozenset(itertools.chain.from_iterable(types))


@functools.cache
def _read_table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE_PATH.read_text(encoding="utf-8"))
    return table
