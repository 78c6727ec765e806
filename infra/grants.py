"""Grant least-privilege permissions, with a reason for each wildcard.

The CDK's own `grant_read` and the like grant actions by wildcard (`s3:GetObject*`, `s3:List*`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from aws_cdk import Acknowledgment, Aws, Stack, Validations
from aws_cdk.aws_iam import IGrantable, PolicyStatement
from aws_cdk.aws_s3 import IBucket
from constructs import IConstruct

from swath.items import SceneSources


def allow(
    grantee: IGrantable, *actions: str, on: Sequence[str], because: str = "", **options: Any
) -> None:
    """Grant `actions` on resources.

    Args:
        grantee: Role or construct that gets the permissions.
        actions: IAM actions.
        on: ARNs of the resources.
        because: Reason for the wildcards in the ARNs, which exempts them from cdk-nag's rule.
        options: Further options of the policy statement.
    """
    grantee.grant_principal.add_to_principal_policy(
        PolicyStatement(actions=list(actions), resources=list(on), **options)
    )
    if because:
        acknowledge_wildcards(grantee.grant_principal, *on, because=because)


def read_objects(grantee: IGrantable, bucket: IBucket, pattern: str = "*") -> None:
    """Let `grantee` read objects whose keys match `pattern`, and list the bucket.

    Without the permission to list, S3 returns 403 instead of 404 for an object that does not exist.
    """
    allow(grantee, "s3:ListBucket", on=[bucket.bucket_arn])
    allow(
        grantee,
        "s3:GetObject",
        on=[bucket.arn_for_objects(pattern)],
        because="Objects are named by users and runs, which do not exist at deployment.",
    )


def read_sources(grantee: IGrantable, sources: Sequence[str]) -> None:
    """Let `grantee` read objects below the sources on S3, and not list their buckets.

    Args:
        grantee: Role or construct that gets the permission.
        sources: Sources that `check_sources` has accepted.
    """
    arns = [
        f"arn:{Aws.PARTITION}:s3:::{source.address.host}/{source.address.path}*"
        for source in SceneSources.parse(sources).sources
        if source.address.scheme == "s3"
    ]
    if arns:
        allow(
            grantee,
            "s3:GetObject",
            on=list(dict.fromkeys(arns)),
            because="The files of scenes lie below the prefixes of the setting scene_sources.",
        )


def write_objects(grantee: IGrantable, bucket: IBucket, pattern: str) -> None:
    """Let `grantee` write objects whose keys match `pattern`, also in parts; not delete them."""
    allow(
        grantee,
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        on=[bucket.arn_for_objects(pattern)],
        because="Objects are named by runs, which do not exist at deployment.",
    )


def acknowledge_wildcards(scope: Any, *resources: str, because: str) -> None:
    """Exempt a construct's permissions on these resources from the rule against wildcards."""
    rules = (
        f"AwsSolutions-IAM5[Resource::{nag_notation(scope, resource)}]" for resource in resources
    )
    acknowledge(scope, *rules, because=because)


def acknowledge(scope: Any, *rules: str, because: str) -> None:
    """Exempt a construct from rules of cdk-nag, for a reason."""
    found: IConstruct = scope
    Validations.of(found).acknowledge(*(Acknowledgment(id=rule, reason=because) for rule in rules))


def nag_notation(scope: Any, value: str) -> str:
    """Return a value with its references in cdk-nag's notation: `<LogicalId.Arn>/*`."""
    return _flatten_references(Stack.of(scope).resolve(value))


def _flatten_references(value: Any) -> str:
    match value:
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{([^}]+)\}", r"<\1>", text)
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(map(_flatten_references, parts))
        case dict():
            return json.dumps(value, separators=(",", ":"))
        case _:
            return str(value)
