"""Decide whether identity policies grant a call.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """Use of a permission: a role performs an action on a resource.

    Attributes:
        role: Name of the role.
        action: `service:Action`, as policies name it.
        resource: ARN, or `*` if the action has no resource.
        context: Condition keys and their values.
    """

    role: str
    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return the call as error messages phrase it."""
        return f"{self.action} on {self.resource}"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of an identity policy, with each element normalized to a tuple."""

    effect: str
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    not_resources: tuple[str, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def from_json(cls, statement: Mapping[str, Any]) -> Statement:
        """Parse a statement of a policy document."""
        return cls(
            effect=statement["Effect"],
            actions=to_tuple(statement.get("Action")),
            resources=to_tuple(statement.get("Resource")),
            not_actions=to_tuple(statement.get("NotAction")),
            not_resources=to_tuple(statement.get("NotResource")),
            conditions=statement.get("Condition", {}),
        )

    def split(self) -> Iterator[Statement]:
        """Split the statement into one for each action and resource."""
        for action in self.actions:
            for resource in self.resources:
                yield replace(self, actions=(action,), resources=(resource,))

    def applies_to(self, call: Call) -> bool:
        """Return whether the statement applies to a call."""
        return (
            _is_selected(
                call.action.lower(), [a.lower() for a in self.actions], self._lower_not_actions
            )
            and _is_selected(call.resource, self.resources, self.not_resources)
            and all(
                _is_condition_met(operator, keys, dict(call.context))
                for operator, keys in self.conditions.items()
            )
        )

    @property
    def _lower_not_actions(self) -> list[str]:
        return [action.lower() for action in self.not_actions]


@functools.lru_cache(maxsize=1000)
def parse_statements(document: str) -> tuple[Statement, ...]:
    """Return the statements of a policy document in JSON."""
    return tuple(Statement.from_json(statement) for statement in _load_statements(document))


def is_allowed(call: Call, policy: Iterable[Statement]) -> bool:
    """Return whether a statement allows a call and none denies it."""
    effects = {statement.effect for statement in policy if statement.applies_to(call)}
    return effects == {"Allow"}


def trusts(document: str, principal: str) -> bool:
    """Return whether a role's trust policy allows a service to assume the role.

    Its conditions are ignored: they concern the caller's account and resource, which are this
    cloud's.
    """
    for statement in _load_statements(document):
        services = to_tuple(statement.get("Principal", {}).get("Service"))
        actions = to_tuple(statement.get("Action"))
        if statement["Effect"] == "Allow" and principal in services and "sts:AssumeRole" in actions:
            return True
    return False


def _load_statements(document: str) -> list[dict[str, Any]]:
    statements = json.loads(document).get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def to_tuple(value: Any) -> tuple[str, ...]:
    """Return a policy's element, either one string or a list of strings, as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _is_selected(value: str, patterns: Sequence[str], excluded: Sequence[str]) -> bool:
    if excluded:
        return not any(matches(pattern, value) for pattern in excluded)
    return any(matches(pattern, value) for pattern in patterns)


def matches(pattern: str, value: str) -> bool:
    """Return whether a value matches a pattern with IAM's wildcards `*` and `?`."""
    return _compile_pattern(pattern).fullmatch(value) is not None


@functools.lru_cache(maxsize=10_000)
def _compile_pattern(pattern: str) -> re.Pattern[str]:
    parts = (
        {"*": ".*", "?": "."}.get(part, re.escape(part)) for part in re.split(r"([*?])", pattern)
    )
    return re.compile("".join(parts), re.DOTALL)


def _equal(pattern: str, value: str) -> bool:
    return pattern == value


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": _equal,
    "StringLike": matches,
    "ArnEquals": matches,
    "ArnLike": matches,
    "Bool": _equal,
}


def _is_condition_met(operator: str, keys: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Return whether a condition is met; a key that the call lacks fails the condition.

    Raises:
        ValueError: The operator is not supported here.
    """
    if operator not in _OPERATORS:
        known = ", ".join(sorted(_OPERATORS))
        raise ValueError(
            f"the local cloud does not support the condition operator {operator}, only {known}"
        )
    compare = _OPERATORS[operator]
    low = {name.lower(): value for name, value in context.items()}
    return all(
        key.lower() in low
        and any(compare(pattern, low[key.lower()]) for pattern in to_tuple(patterns))
        for key, patterns in keys.items()
    )
