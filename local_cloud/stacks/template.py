"""Extract the references between resources of a CloudFormation template, and sort by them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from local_cloud.errors import LocalCloudError

# Matches ${Name} and ${Name.Attribute}, but not the literal ${!Name}.
_SUBSTITUTION = re.compile(r"\$\{([^!}.]+)[^}]*\}")


def references(value: Any) -> set[str]:
    """Return the names that a part of a template refers to or depends on."""
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            return {name}
        case {"Fn::Sub": str(text)}:
            return set(_SUBSTITUTION.findall(text))
        case {"Fn::Sub": [str(text), dict(variables)]}:
            return (set(_SUBSTITUTION.findall(text)) - variables.keys()) | references(variables)
        case dict():
            depends = value.get("DependsOn", [])
            nested = map(references, value.values())
            return set([depends] if isinstance(depends, str) else depends).union(*nested)
        case list():
            return set[str]().union(*map(references, value))
    return set()


def sort_by_dependency(resources: Mapping[str, Any]) -> list[str]:
    """Return the names of a template's resources, each after those that it refers to.

    Raises:
        LocalCloudError: References between resources form a cycle.
    """
    graph = {name: references(resource) & resources.keys() for name, resource in resources.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        cycle = ", ".join(error.args[1])
        raise LocalCloudError(f"Circular dependency between resources: [{cycle}]") from error
