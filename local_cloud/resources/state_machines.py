"""Complete the definitions of state machines from a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def fill_definition(properties: Mapping[str, Any]) -> str:
    """Return a state machine's definition with its substitutions filled in."""
    definition = str(properties["DefinitionString"])
    for name, value in properties.get("DefinitionSubstitutions", {}).items():
        definition = definition.replace(f"${{{name}}}", str(value))
    return definition
