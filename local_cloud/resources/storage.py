"""Configure buckets, and create their policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local_cloud.resources.model import CreatedResource, ResourceRequest


def create_bucket_policy(request: ResourceRequest) -> CreatedResource:
    """Set a bucket's policy, without the denials that depend on a condition.

    Moto ignores conditions: a denial of requests without TLS would deny every request.
    """
    document = dict(request.properties["PolicyDocument"])
    document["Statement"] = [
        statement
        for statement in document["Statement"]
        if not (statement["Effect"] == "Deny" and "Condition" in statement)
    ]
    bucket = request.properties["Bucket"]
    if document["Statement"]:
        request.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    return CreatedResource(bucket)


def configure_bucket(s3: Any, bucket: str, properties: Mapping[str, Any]) -> None:
    """Set those properties of a bucket's template that have an effect here."""
    if versioning := properties.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)
    if access := properties.get("PublicAccessBlockConfiguration"):
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=access)
    if "EventBridgeConfiguration" in properties.get("NotificationConfiguration", {}):
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
