"""Create, update, roll back and delete the resources of a stack, as CloudFormation does.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events-by-operation.html

Resources are processed one at a time, while CloudFormation processes several at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from local_cloud.errors import LocalCloudError
from local_cloud.stacks.schemas import replaces
from local_cloud.stacks.template import in_order, references

Definitions = Mapping[str, Mapping[str, Any]]

# Default policies of CloudFormation other than deletion:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
_DEFAULT_POLICY = {"AWS::RDS::DBCluster": "Snapshot"}


class ResourceError(LocalCloudError):
    """A resource could not be created, changed or deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Current state of a resource.

    Attributes:
        name: Logical id.
        definition: Part of the template.
        properties: Properties with references resolved.
        resource: Object that the provider created.
    """

    name: str
    definition: Mapping[str, Any]
    properties: Mapping[str, Any]
    resource: Any

    @property
    def kind(self) -> str:
        """Type of the resource, such as `AWS::S3::Bucket`."""
        return str(self.definition["Type"])


class Provider(Protocol):
    """Provider that creates, changes and deletes resources.

    Each method except `refer` and `tell` may raise ResourceError.
    """

    def resolve(self, definition: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a resource's properties with references resolved."""

    def create(self, name: str, definition: Mapping[str, Any]) -> Any:
        """Create a resource."""

    def update(self, old: Standing, new: Standing) -> Any:
        """Change a resource in place; return it, or the object that represents it now."""

    def delete(self, standing: Standing) -> None:
        """Delete a resource."""

    def refer(self, name: str, standing: Standing | None) -> None:
        """Resolve references to `name` to this resource, or to nothing."""

    def tell(self, standing: Standing, status: str, reason: str = "") -> None:
        """Record an event of a resource."""


@dataclass(slots=True)
class StackResources:
    """Resources of one stack."""

    provider: Provider
    standing: dict[str, Standing] = field(default_factory=dict)

    def create(self, wanted: Definitions) -> str:
        """Create all resources, or roll back; return the stack's status."""
        try:
            for name in in_order(wanted):
                self.put(self.make(name, wanted[name]))
        except ResourceError:
            return "ROLLBACK_FAILED" if self._delete_all(creating=True) else "ROLLBACK_COMPLETE"
        return "CREATE_COMPLETE"

    def update(self, wanted: Definitions, *, restore: Callable[[], None]) -> str:
        """Apply all differences, or roll back; return the stack's status.

        Args:
            wanted: Resources of the new template.
            restore: Function that restores the stack's previous template before a rollback.
        """
        change = _Change(self)
        try:
            change.bring(wanted)
        except ResourceError:
            restore()
            return change.roll_back()
        change.finish(wanted)
        return "UPDATE_COMPLETE"

    def delete(self) -> str:
        """Delete all resources except those to retain; return the stack's status."""
        return "DELETE_FAILED" if self._delete_all() else "DELETE_COMPLETE"

    def put(self, standing: Standing) -> Standing:
        """Register a resource under its name."""
        self.standing[standing.name] = standing
        self.provider.refer(standing.name, standing)
        return standing

    def remove(self, standing: Standing, policy: str, *, creating: bool = False) -> bool:
        """Delete a resource unless its policy retains it; return whether that succeeded."""
        try:
            if _stays(standing, policy, creating=creating):
                self.provider.tell(standing, "DELETE_SKIPPED")
                return True
            self.provider.delete(standing)
        except ResourceError as error:
            self.provider.tell(standing, "DELETE_FAILED", str(error))
            return False
        self.provider.tell(standing, "DELETE_COMPLETE")
        return True

    def make(self, name: str, definition: Mapping[str, Any]) -> Standing:
        """Create a resource without registering it under its name yet.

        Raises:
            ResourceError: The resource could not be created.
        """
        standing = Standing(name=name, definition=definition, properties={}, resource=None)
        try:
            standing = replace(standing, properties=self.provider.resolve(definition))
            standing = replace(standing, resource=self.provider.create(name, definition))
        except ResourceError as error:
            self.provider.tell(standing, "CREATE_FAILED", str(error))
            raise
        self.provider.tell(standing, "CREATE_COMPLETE")
        return standing

    def _delete_all(self, *, creating: bool = False) -> list[str]:
        """Delete in reverse order; return the names of the resources that could not be deleted.

        Resources to which a remaining resource refers are skipped.
        """
        failed: list[str] = []
        needed: set[str] = set()
        definitions = {name: standing.definition for name, standing in self.standing.items()}
        for name in reversed(in_order(definitions)):
            if name not in needed and self.remove(
                self.standing[name], "DeletionPolicy", creating=creating
            ):
                del self.standing[name]
                self.provider.refer(name, None)
                continue
            if name not in needed:
                failed.append(name)
            needed |= references(definitions[name])
        return failed


class _Change:
    """One update of a stack, with the state needed for a rollback."""

    def __init__(self, stack: StackResources) -> None:
        self._stack = stack
        self._before = dict(stack.standing)
        self._superseded: list[Standing] = []
        self._made: list[Standing] = []

    def bring(self, wanted: Definitions) -> None:
        """Create and change resources until they match `wanted`; delete nothing yet.

        Raises:
            ResourceError: A resource could not be created or changed.
        """
        for name in in_order(wanted):
            if standing := self._stack.standing.get(name):
                self._change(standing, wanted[name])
            else:
                self._make(name, wanted[name])

    def finish(self, wanted: Definitions) -> None:
        """Delete the resources that were replaced or are no longer wanted."""
        gone = [s for name, s in self._stack.standing.items() if name not in wanted]
        self._clean_up(
            [(s, "UpdateReplacePolicy") for s in self._superseded]
            + [(s, "DeletionPolicy") for s in gone]
        )
        self._forget(gone)

    def roll_back(self) -> str:
        """Restore all resources to their previous state; return the stack's status."""
        for standing in self._superseded:
            self._stack.put(standing)
        made, self._made, self._superseded = self._made, [], []
        try:
            self.bring({name: standing.definition for name, standing in self._before.items()})
        except ResourceError:
            return "UPDATE_ROLLBACK_FAILED"
        self._clean_up([(s, "DeletionPolicy") for s in made + self._superseded], creating=True)
        self._forget([s for name, s in self._stack.standing.items() if name not in self._before])
        return "UPDATE_ROLLBACK_COMPLETE"

    def _make(self, name: str, definition: Mapping[str, Any], old: Standing | None = None) -> None:
        made = self._stack.make(name, definition)
        self._made.append(made)
        if old:
            self._superseded.append(old)
        self._stack.put(made)

    def _change(self, old: Standing, definition: Mapping[str, Any]) -> None:
        new = self._resolved(replace(old, definition=definition))
        if new.properties == old.properties:
            self._stack.put(new)
        elif replaces(new.kind, old.properties, new.properties):
            self._make(new.name, definition, old)
        else:
            self._change_in_place(old, new)

    def _resolved(self, new: Standing) -> Standing:
        if new.kind != self._stack.standing[new.name].kind:
            raise ResourceError(f"{new.name}: Update of resource type is not permitted.")
        return replace(new, properties=self._stack.provider.resolve(new.definition))

    def _change_in_place(self, old: Standing, new: Standing) -> None:
        provider = self._stack.provider
        # The new state is registered first: if the change fails halfway, the rollback detects a
        # difference.
        self._stack.put(new)
        try:
            new = replace(new, resource=provider.update(old, new))
        except ResourceError as error:
            provider.tell(new, "UPDATE_FAILED", str(error))
            raise
        provider.tell(self._stack.put(new), "UPDATE_COMPLETE")

    def _clean_up(
        self, obsolete: Sequence[tuple[Standing, str]], *, creating: bool = False
    ) -> None:
        """Delete resources according to their policies; continue after a failure."""
        order = in_order({standing.name: standing.definition for standing, _ in obsolete})
        for standing, policy in sorted(obsolete, key=lambda pair: -order.index(pair[0].name)):
            self._stack.remove(standing, policy, creating=creating)

    def _forget(self, gone: Iterable[Standing]) -> None:
        for standing in list(gone):
            del self._stack.standing[standing.name]
            self._stack.provider.refer(standing.name, None)


def _stays(standing: Standing, policy: str, *, creating: bool) -> bool:
    default = _DEFAULT_POLICY.get(standing.kind, "Delete")
    match standing.definition.get(policy, default):
        case "Retain":
            return True
        case "RetainExceptOnCreate":
            return not creating
        case "Snapshot":
            raise ResourceError(f"{standing.name}: the local cloud takes no snapshots")
        case _:
            return False
