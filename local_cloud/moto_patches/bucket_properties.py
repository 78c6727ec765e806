"""Give buckets from CloudFormation the versioning and EventBridge events of their template.

AWS:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html

Moto 5.2.5 reads only a bucket's encryption and tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.s3.models import FakeBucket

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "bucket_properties"


def apply(patcher: Patcher, services: Services) -> None:
    """Set the other properties that have an effect here."""

    def create(
        cls: type[Any], /, name: str, json: Any, account: str, region: str, **rest: Any
    ) -> Any:
        bucket = original(cls, name, json, account, region, **rest)
        configure_bucket(services.client("s3", region), name, json.get("Properties", {}))
        return bucket

    original = patcher.replace(FakeBucket, "create_from_cloudformation_json", classmethod(create))


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
