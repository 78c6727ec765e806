"""What a maker of resources is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Request):
    """A resource that stands, and the properties that it is to have; `name` is its physical id."""

    old: Mapping[str, Any]
    """Properties that it has."""
    resource: Any
    """Its stand-in in moto."""


@dataclass(frozen=True, slots=True)
class Made:
    """A resource: what `Ref` and `Fn::GetAtt` give for it."""

    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


class MadeResource:
    """A resource of a stack, in the form that moto expects.

    Attributes:
        cf_resource_type: type of the resource; set by moto, as is the next.
        logical_resource_id: its name in the template.
    """

    cf_resource_type: str
    logical_resource_id: str

    def __init__(self, made: Made) -> None:
        self._made = made

    @property
    def physical_resource_id(self) -> str:
        """The value of a `Ref` to it."""
        return self._made.physical_id

    @property
    def type(self) -> str:
        """Type of the resource."""
        return self.cf_resource_type

    @staticmethod
    def is_created() -> bool:
        """Return that it is ready."""
        return True

    def get_cfn_attribute(self, attribute: str) -> Any:
        """Return what `Fn::GetAtt` gives.

        Raises:
            UnformattedGetAttTemplateException: there is no such attribute.
        """
        if attribute not in self._made.attributes:
            raise UnformattedGetAttTemplateException
        return self._made.attributes[attribute]


Maker = Callable[[Request], Made]
