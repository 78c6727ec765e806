"""Set the `Name` tags that AWS consoles show."""

from __future__ import annotations

from aws_cdk import Tags
from constructs import IConstruct


def tag_by_path(*scopes: IConstruct) -> None:
    """Tag constructs with their paths as names, as the CDK does, but without `Default`.

    So a name does not depend on whether a pipeline has a stack of its own. A different tag would
    create another version of a launch template.
    """
    for scope in scopes:
        parts = [part for part in scope.node.path.split("/") if part != "Default"]
        Tags.of(scope).add("Name", "/".join(parts))
