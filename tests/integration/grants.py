"""The grants of the deployed roles, and the use of each grant."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from local_cloud.cloud import LocalCloud
from local_cloud.permissions.policies import Call, Statement, is_allowed, parse_statements

# The names of what tests make for themselves.
_OF_TESTS = re.compile(r"[:/]c-[0-9a-f]{20}\b")


@dataclass(frozen=True)
class Grant:
    """One action on one resource that a statement of a role's policy allows."""

    role: str
    """Its logical id."""
    statement: Statement

    @property
    def action(self) -> str:
        return self.statement.actions[0]

    @property
    def resource(self) -> str:
        return self.statement.resources[0]

    def __str__(self) -> str:
        return f"{self.role}: {self.action} on {self.resource}"


@dataclass(frozen=True)
class Unproven:
    """Grants that no call in the local cloud uses, or whose wildcard none proves, and why.

    Attributes:
        because: why they stay.
        actions: as policies name them; `*` and `[*]` as `fnmatch` has them.
        resources: likewise; one of these patterns.
        roles: the logical ids; likewise.
        used: whether the grants are used all the same, and only their wildcard is unproven.
    """

    because: str
    actions: str
    resources: tuple[str, ...] = ("*",)
    roles: str = "*"
    used: bool = False

    def covers(self, grant: Grant) -> bool:
        return (
            fnmatchcase(grant.role, self.roles)
            and fnmatchcase(grant.action, self.actions)
            and any(fnmatchcase(grant.resource, pattern) for pattern in self.resources)
        )


@dataclass(frozen=True)
class Roles:
    """The roles of a deployed stack: their grants, and their calls so far."""

    grants: Mapping[str, Sequence[Grant]]
    calls: Mapping[str, Sequence[Call]]

    @property
    def refused(self) -> list[Call]:
        """The calls that the policies, as they are now, do not grant."""
        policies = {role: [g.statement for g in found] for role, found in self.grants.items()}
        return [
            c
            for role, calls in self.calls.items()
            for c in calls
            if not is_allowed(c, policies[role])
        ]

    def every(self) -> Iterator[Grant]:
        for found in self.grants.values():
            yield from found

    def used_by(self, grant: Grant) -> Call | None:
        """A call that is granted by this statement and by no other."""
        others = [g.statement for g in self.grants[grant.role] if g is not grant]
        return self._lost(grant, others)

    def narrowed(self, grant: Grant) -> Call | None:
        """A call that would be lost if the resource were but one of those that it covers."""
        first = next((c for c in self.calls[grant.role] if grant.statement.applies_to(c)), None)
        if first is None or grant.resource == "*":
            return first
        mutant = first.resource if "*" in grant.resource else f"{grant.resource}-other"
        narrow = replace(grant.statement, resources=(mutant,))
        others = [g.statement for g in self.grants[grant.role] if g is not grant]
        return self._lost(grant, [*others, narrow])

    def _lost(self, grant: Grant, left: Sequence[Statement]) -> Call | None:
        about = (c for c in self.calls[grant.role] if grant.statement.applies_to(c))
        return next((call for call in about if not is_allowed(call, left)), None)


def load_roles(cloud: LocalCloud, stack: str) -> Roles:
    """Read the policies from the cloud's IAM and the calls from its record."""
    names = dict(_roles(cloud, stack))
    calls: dict[str, list[Call]] = defaultdict(list)
    for call, _ in cloud.calls:
        role = names.get(call.role)
        if role is None or _OF_TESTS.search(call.resource):
            continue
        calls[role].append(replace(call, role=role))
    return Roles({role: list(_grants(cloud, name, role)) for name, role in names.items()}, calls)


def _roles(cloud: LocalCloud, stack: str) -> Iterator[tuple[str, str]]:
    pages = cloud.client("cloudformation").get_paginator("list_stack_resources")
    for page in pages.paginate(StackName=stack):
        for resource in page["StackResourceSummaries"]:
            # The functions of the CDK's own providers do not run here.
            ours = not resource["LogicalResourceId"].startswith("AWSCDK")
            if ours and resource["ResourceType"] == "AWS::IAM::Role":
                logical = re.sub(r"(Role)?[0-9A-F]{8}$", "", resource["LogicalResourceId"])
                yield resource["PhysicalResourceId"], logical


def _grants(cloud: LocalCloud, name: str, role: str) -> Iterator[Grant]:
    iam = cloud.client("iam")
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        found = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for statement in parse_statements(json.dumps(found)):
            yield from (Grant(role, single) for single in statement.split())
