"""Define the input and output of functions that create resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException

if TYPE_CHECKING:
    from local_cloud.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRequest:
    """Resource of a template, with its references resolved."""

    name: str
    """Name that is unique in the account: CloudFormation's choice if the template has none."""
    logical_id: str
    properties: Mapping[str, Any]
    account: str
    region: str
    services: Services

    def client(self, service: str) -> Any:
        """Return a client of the local cloud in the stack's region."""
        return self.services.client(service, self.region)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest(ResourceRequest):
    """Change of an existing resource, with its new properties; `name` is its physical id."""

    old: Mapping[str, Any]
    """Current properties of the resource."""
    resource: Any
    """Object that represents the resource in moto."""


@dataclass(frozen=True, slots=True)
class CreatedResource:
    """Created resource: the values of `Ref` and `Fn::GetAtt` for it."""

    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


class MotoResource:
    """Resource of a stack, in the form that moto expects.

    Attributes:
        cf_resource_type: Type of the resource; moto sets it.
        logical_resource_id: Name of the resource in the template; moto sets it.
    """

    cf_resource_type: str
    logical_resource_id: str

    def __init__(self, created: CreatedResource) -> None:
        self._created = created

    @property
    def physical_resource_id(self) -> str:
        """Value of a `Ref` to the resource."""
        return self._created.physical_id

    @property
    def type(self) -> str:
        """Type of the resource."""
        return self.cf_resource_type

    @staticmethod
    def is_created() -> bool:
        """Return True: the resource is ready."""
        return True

    def get_cfn_attribute(self, attribute: str) -> Any:
        """Return the value of `Fn::GetAtt` for an attribute.

        Raises:
            UnformattedGetAttTemplateException: The resource has no such attribute.
        """
        if attribute not in self._created.attributes:
            raise UnformattedGetAttTemplateException
        return self._created.attributes[attribute]


ResourceFactory = Callable[[ResourceRequest], CreatedResource]
