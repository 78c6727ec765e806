"""Give buckets from CloudFormation the versioning and EventBridge events of their template.

AWS:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html

Moto 5.2.5 reads only a bucket's encryption and tags.
"""

from __future__ import annotations

from typing import Any

from moto.s3.models import FakeBucket

from local_cloud.moto_patches.patching import Patcher
from local_cloud.resources.storage import configure_bucket
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
