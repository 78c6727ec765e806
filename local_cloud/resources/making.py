"""What a maker of resources is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_cloud.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One resource of a template, with its references resolved."""

    name: str
    """A name that is unique in the account: CloudFormation's choice where the template has none."""
    logical_id: str
    properties: Mapping[str, Any]
    account: str
    region: str
    services: Services

    def client(self, service: str) -> Any:
        """A client of the local cloud in the stack's region."""
        return self.services.client(service, self.region)


@dataclass(frozen=True, slots=True)
class Made:
    """A resource: what `Ref` and `Fn::GetAtt` give for it."""

    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


Maker = Callable[[Request], Made]
