"""Create, update, roll back and delete the resources of a stack, as CloudFormation does.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events-by-operation.html

Resources are processed one at a time, while CloudFormation processes several at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from local_cloud.errors import LocalCloudError
from local_cloud.stacks.schemas import requires_replacement
from local_cloud.stacks.template import references, sort_by_dependency

Definitions = Mapping[str, Mapping[str, Any]]

# Default policies of CloudFormation other than deletion:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
_DEFAULT_DELETION_POLICIES = {"AWS::RDS::DBCluster": "Snapshot"}


class ResourceError(LocalCloudError):
    """A resource could not be created, changed or deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackResource:
    """Current state of a resource.

    Attributes:
        name: Logical id.
        definition: Part of the template.
        properties: Properties with references resolved.
        provided: Object that the provider created.
    """

    name: str
    definition: Mapping[str, Any]
    properties: Mapping[str, Any]
    provided: Any

    @property
    def kind(self) -> str:
        """Type of the resource, such as `AWS::S3::Bucket`."""
        return str(self.definition["Type"])


class ResourceProvider(Protocol):
    """Provider that creates, changes and deletes resources.

    Each method except `set_reference` and `record_event` may raise ResourceError.
    """

    def resolve(self, definition: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a resource's properties with references resolved."""

    def create(self, name: str, definition: Mapping[str, Any]) -> Any:
        """Create a resource."""

    def update(self, old: StackResource, new: StackResource) -> Any:
        """Change a resource in place; return it, or the object that represents it now."""

    def delete(self, resource: StackResource) -> None:
        """Delete a resource."""

    def set_reference(self, name: str, resource: StackResource | None) -> None:
        """Resolve references to `name` to this resource, or to nothing."""

    def record_event(self, resource: StackResource, status: str, reason: str = "") -> None:
        """Record an event of a resource."""


@dataclass(slots=True)
class StackResources:
    """Resources of one stack."""

    provider: ResourceProvider
    resources: dict[str, StackResource] = field(default_factory=dict)

    def create(self, definitions: Definitions) -> str:
        """Create all resources, or roll back; return the stack's status."""
        try:
            for name in sort_by_dependency(definitions):
                self.register(self.create_resource(name, definitions[name]))
        except ResourceError:
            return "ROLLBACK_FAILED" if self._delete_all(creating=True) else "ROLLBACK_COMPLETE"
        return "CREATE_COMPLETE"

    def update(self, definitions: Definitions, *, restore: Callable[[], None]) -> str:
        """Apply all differences, or roll back; return the stack's status.

        Args:
            definitions: Resources of the new template.
            restore: Function that restores the stack's previous template before a rollback.
        """
        update = _StackUpdate(self)
        try:
            update.apply(definitions)
        except ResourceError:
            restore()
            return update.roll_back()
        update.delete_obsolete(definitions)
        return "UPDATE_COMPLETE"

    def delete(self) -> str:
        """Delete all resources except those to retain; return the stack's status."""
        return "DELETE_FAILED" if self._delete_all() else "DELETE_COMPLETE"

    def register(self, resource: StackResource) -> StackResource:
        """Register a resource under its name."""
        self.resources[resource.name] = resource
        self.provider.set_reference(resource.name, resource)
        return resource

    def remove(self, resource: StackResource, policy: str, *, creating: bool = False) -> bool:
        """Delete a resource unless its policy retains it; return whether that succeeded."""
        try:
            if _is_retained(resource, policy, creating=creating):
                self.provider.record_event(resource, "DELETE_SKIPPED")
                return True
            self.provider.delete(resource)
        except ResourceError as error:
            self.provider.record_event(resource, "DELETE_FAILED", str(error))
            return False
        self.provider.record_event(resource, "DELETE_COMPLETE")
        return True

    def create_resource(self, name: str, definition: Mapping[str, Any]) -> StackResource:
        """Create a resource without registering it under its name yet.

        Raises:
            ResourceError: The resource could not be created.
        """
        resource = StackResource(name=name, definition=definition, properties={}, provided=None)
        try:
            resource = replace(resource, properties=self.provider.resolve(definition))
            resource = replace(resource, provided=self.provider.create(name, definition))
        except ResourceError as error:
            self.provider.record_event(resource, "CREATE_FAILED", str(error))
            raise
        self.provider.record_event(resource, "CREATE_COMPLETE")
        return resource

    def _delete_all(self, *, creating: bool = False) -> list[str]:
        """Delete in reverse order; return the names of the resources that could not be deleted.

        Resources to which a remaining resource refers are skipped.
        """
        failed: list[str] = []
        needed: set[str] = set()
        definitions = {name: resource.definition for name, resource in self.resources.items()}
        for name in reversed(sort_by_dependency(definitions)):
            if name not in needed and self.remove(
                self.resources[name], "DeletionPolicy", creating=creating
            ):
                del self.resources[name]
                self.provider.set_reference(name, None)
                continue
            if name not in needed:
                failed.append(name)
            needed |= references(definitions[name])
        return failed


class _StackUpdate:
    """One update of a stack, with the state needed for a rollback."""

    def __init__(self, stack: StackResources) -> None:
        self._stack = stack
        self._before = dict(stack.resources)
        self._replaced: list[StackResource] = []
        self._created: list[StackResource] = []

    def apply(self, definitions: Definitions) -> None:
        """Create and change resources until they match `definitions`; delete nothing yet.

        Raises:
            ResourceError: A resource could not be created or changed.
        """
        for name in sort_by_dependency(definitions):
            if resource := self._stack.resources.get(name):
                self._change(resource, definitions[name])
            else:
                self._create(name, definitions[name])

    def delete_obsolete(self, definitions: Definitions) -> None:
        """Delete the resources that were replaced or are missing from `definitions`."""
        removed = [s for name, s in self._stack.resources.items() if name not in definitions]
        self._clean_up(
            [(s, "UpdateReplacePolicy") for s in self._replaced]
            + [(s, "DeletionPolicy") for s in removed]
        )
        self._unregister(removed)

    def roll_back(self) -> str:
        """Restore all resources to their previous state; return the stack's status."""
        for resource in self._replaced:
            self._stack.register(resource)
        created, self._created, self._replaced = self._created, [], []
        try:
            self.apply({name: resource.definition for name, resource in self._before.items()})
        except ResourceError:
            return "UPDATE_ROLLBACK_FAILED"
        self._clean_up([(s, "DeletionPolicy") for s in created + self._replaced], creating=True)
        self._unregister(
            [s for name, s in self._stack.resources.items() if name not in self._before]
        )
        return "UPDATE_ROLLBACK_COMPLETE"

    def _create(
        self, name: str, definition: Mapping[str, Any], old: StackResource | None = None
    ) -> None:
        created = self._stack.create_resource(name, definition)
        self._created.append(created)
        if old:
            self._replaced.append(old)
        self._stack.register(created)

    def _change(self, old: StackResource, definition: Mapping[str, Any]) -> None:
        new = self._resolve(replace(old, definition=definition))
        if new.properties == old.properties:
            self._stack.register(new)
        elif requires_replacement(new.kind, old.properties, new.properties):
            self._create(new.name, definition, old)
        else:
            self._change_in_place(old, new)

    def _resolve(self, new: StackResource) -> StackResource:
        if new.kind != self._stack.resources[new.name].kind:
            raise ResourceError(f"{new.name}: Update of resource type is not permitted.")
        return replace(new, properties=self._stack.provider.resolve(new.definition))

    def _change_in_place(self, old: StackResource, new: StackResource) -> None:
        provider = self._stack.provider
        # The new state is registered first: if the change fails halfway, the rollback detects a
        # difference.
        self._stack.register(new)
        try:
            new = replace(new, provided=provider.update(old, new))
        except ResourceError as error:
            provider.record_event(new, "UPDATE_FAILED", str(error))
            raise
        provider.record_event(self._stack.register(new), "UPDATE_COMPLETE")

    def _clean_up(
        self, obsolete: Sequence[tuple[StackResource, str]], *, creating: bool = False
    ) -> None:
        """Delete resources according to their policies; continue after a failure."""
        order = sort_by_dependency({resource.name: resource.definition for resource, _ in obsolete})
        for resource, policy in sorted(obsolete, key=lambda pair: -order.index(pair[0].name)):
            self._stack.remove(resource, policy, creating=creating)

    def _unregister(self, removed: Iterable[StackResource]) -> None:
        for resource in list(removed):
            del self._stack.resources[resource.name]
            self._stack.provider.set_reference(resource.name, None)


def _is_retained(resource: StackResource, policy: str, *, creating: bool) -> bool:
    default = _DEFAULT_DELETION_POLICIES.get(resource.kind, "Delete")
    match resource.definition.get(policy, default):
        case "Retain":
            return True
        case "RetainExceptOnCreate":
            return not creating
        case "Snapshot":
            raise ResourceError(f"{resource.name}: the local cloud takes no snapshots")
        case _:
            return False
