"""Updates of random stacks, which fail at any point; the resources are kept in memory."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.errors import LocalCloudError
from local_cloud.stacks.operations import ResourceError, StackResource, StackResources
from local_cloud.stacks.schemas import requires_replacement
from local_cloud.stacks.template import references, sort_by_dependency

# In this type the name makes another resource, and the days do not.
KIND = "AWS::Logs::LogGroup"
NAMES = "ABCDE"


class Memory:
    """An account: every resource that exists, by a number of its own."""

    def __init__(self) -> None:
        self.existing: dict[int, dict[str, Any]] = {}
        self.meant: dict[str, int] = {}
        self.numbers = itertools.count()
        self.calls_until_failure = -1

    def resolve(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        properties = dict(definition["Properties"])
        properties["Tags"] = sorted(self.meant[name] for name in references(definition))
        return properties

    def create(self, name: str, definition: Mapping[str, Any]) -> int:
        self._count()
        number = next(self.numbers)
        self.existing[number] = {"name": name, **self.resolve(definition)}
        return number

    def update(self, old: StackResource, new: StackResource) -> Any:
        assert self.existing[old.provided] == {"name": old.name, **old.properties}
        self.existing[old.provided] = {"name": new.name, **new.properties}
        self._count()  # a change that fails may have changed something
        return old.provided

    def delete(self, resource: StackResource) -> None:
        used = {number for found in self.existing.values() for number in found["Tags"]}
        assert resource.provided not in used, "deleted before what refers to it"
        del self.existing[resource.provided]

    def set_reference(self, name: str, resource: StackResource | None) -> None:
        if resource is None:
            del self.meant[name]
        else:
            self.meant[name] = resource.provided

    def record_event(self, resource: StackResource, status: str, reason: str = "") -> None:
        assert status != "DELETE_FAILED", (resource, reason)

    def _count(self) -> None:
        self.calls_until_failure -= 1
        if self.calls_until_failure == 0:
            raise ResourceError("as the test wants it")


@st.composite
def templates(draw: st.DrawFn) -> dict[str, Any]:
    """Some of the resources, each referring to some of those before it."""
    names = [name for name in NAMES if draw(st.booleans())]
    made: dict[str, Any] = {}
    for name in names:
        properties: dict[str, Any] = {
            "LogGroupName": draw(st.sampled_from(["one", "two"])),
            "RetentionInDays": draw(st.sampled_from([1, 3])),
        }
        needed = draw(st.lists(st.sampled_from(list(made)), unique=True)) if made else []
        made[name] = {"Type": KIND, "Properties": properties, "DependsOn": needed}
    return made


@given(templates(), templates())
def test_an_updated_stack_equals_a_new_stack(old: dict[str, Any], new: dict[str, Any]):
    memory, fresh = Memory(), Memory()
    stack = StackResources(memory)
    assert stack.create(old) == "CREATE_COMPLETE"

    assert stack.update(new, restore=lambda: None) == "UPDATE_COMPLETE"

    StackResources(fresh).create(new)
    assert described(memory) == described(fresh)
    assert stack.delete() == "DELETE_COMPLETE"
    assert memory.existing == {}


@given(templates(), templates(), st.integers(1, 6))
def test_a_failed_update_restores_the_previous_stack(
    old: dict[str, Any], new: dict[str, Any], calls: int
):
    memory = Memory()
    stack = StackResources(memory)
    stack.create(old)
    before, meant = dict(memory.existing), dict(memory.meant)
    memory.calls_until_failure = calls

    status = stack.update(new, restore=lambda: None)

    if memory.calls_until_failure > 0 or status == "UPDATE_COMPLETE":
        assert status == "UPDATE_COMPLETE"
    else:
        assert status == "UPDATE_ROLLBACK_COMPLETE"
        assert (memory.existing, memory.meant) == (before, meant)


@given(templates(), st.integers(1, 4))
def test_a_creation_that_fails_anywhere_leaves_nothing(wanted: dict[str, Any], calls: int):
    memory = Memory()
    memory.calls_until_failure = calls

    status = StackResources(memory).create(wanted)

    if len(wanted) < calls:
        assert status == "CREATE_COMPLETE"
    else:
        assert status == "ROLLBACK_COMPLETE"
        assert memory.existing == memory.meant == {}


def described(memory: Memory) -> dict[str, Any]:
    """Return the existing resources, by logical names instead of numbers."""
    names = {number: found["name"] for number, found in memory.existing.items()}
    return {
        found["name"]: {**found, "Tags": sorted(names[number] for number in found["Tags"])}
        for found in memory.existing.values()
    }


def test_resources_to_retain_are_not_deleted():
    memory = Memory()
    stack = StackResources(memory)
    kept = {"Type": KIND, "Properties": {}, "DeletionPolicy": "Retain"}
    first = {"Type": KIND, "Properties": {}, "DeletionPolicy": "RetainExceptOnCreate"}
    stack.create({"A": kept, "B": first, "C": {"Type": KIND, "Properties": {}}})

    assert stack.delete() == "DELETE_COMPLETE"

    assert {found["name"] for found in memory.existing.values()} == {"A", "B"}


def test_create_only_properties_replace_a_resource():
    assert requires_replacement(KIND, {"LogGroupName": "one"}, {"LogGroupName": "two"})
    assert not requires_replacement(KIND, {"RetentionInDays": 1}, {"RetentionInDays": 3})
    group = "AWS::Batch::ComputeEnvironment"
    assert requires_replacement(
        group,
        {"ComputeResources": {"SpotIamFleetRole": "one"}},
        {"ComputeResources": {"SpotIamFleetRole": "two"}},
    )
    assert not requires_replacement("Custom::Trigger", {"HandlerArn": "one"}, {"HandlerArn": "two"})


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ({"Ref": "A"}, {"A"}),
        ({"Fn::GetAtt": ["A", "Arn"]}, {"A"}),
        ({"Fn::Sub": "${A}-${B.Arn}-${!C}"}, {"A", "B"}),
        ({"Fn::Sub": ["${A}-${B}", {"B": {"Ref": "C"}}]}, {"A", "C"}),
        ({"DependsOn": "A", "Properties": [{"x": {"Ref": "B"}}]}, {"A", "B"}),
        ({"DependsOn": ["A", "B"]}, {"A", "B"}),
    ],
)
def test_all_references_are_extracted(value: Any, names: set[str]):
    assert references(value) == names


def test_a_circle_is_refused():
    with pytest.raises(LocalCloudError, match="Circular dependency"):
        sort_by_dependency({"A": {"DependsOn": "B"}, "B": {"DependsOn": "A"}})
