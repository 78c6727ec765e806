"""Determine which property changes make CloudFormation replace a resource.

The types' schemas are AWS's own, as cfn-lint distributes them:
https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from local_cloud.clients import REGION

_SCHEMAS = resources.files("cfnlint.data") / "schemas"


def requires_replacement(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return whether a change from `old` to `new` properties replaces the resource."""
    return any(
        _get_at_path(old, path) != _get_at_path(new, path) for path in _create_only_paths(kind)
    )


@functools.cache
def _create_only_paths(kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the paths of the properties that can only be set when a resource is created."""
    if kind.startswith("Custom::"):
        return (("ServiceToken",),)
    types = json.loads((_SCHEMAS / "providers" / f"{REGION}.json").read_text(encoding="utf-8"))
    schema = json.loads((_SCHEMAS / "resources" / f"{types[kind]}.json").read_text("utf-8"))
    return tuple(tuple(path.split("/")[2:]) for path in schema.get("createOnlyProperties", ()))


def _get_at_path(properties: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(properties, Mapping):
            return None
        properties = properties.get(part)
    return properties
