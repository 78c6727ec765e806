"""Create bucket policies."""

from __future__ import annotations

import json

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
