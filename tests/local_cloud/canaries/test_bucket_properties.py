from __future__ import annotations

from local_cloud.moto_patches import bucket_properties
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied

BUCKET = {
    "Type": "AWS::S3::Bucket",
    "Properties": {
        "VersioningConfiguration": {"Status": "Enabled"},
        "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
    },
}


def test_canary_bucket_properties(services: Services, aws: Aws):
    assert described(aws, aws.stack(Bucket=BUCKET)["Bucket"]) == (None, False)
    with applied(services, bucket_properties):
        bucket = aws.stack(Bucket=BUCKET)["Bucket"]

    assert described(aws, bucket) == ("Enabled", True)
    blocked = aws.client("s3").get_public_access_block(Bucket=bucket)
    assert all(blocked["PublicAccessBlockConfiguration"].values())


def described(aws: Aws, bucket: str) -> tuple[str | None, bool]:
    """Return the versioning of a bucket, and whether it sends an event for an object."""
    queue = aws.queue()
    pattern = {"detail-type": ["Object Created"], "detail": {"bucket": {"name": [bucket]}}}
    rule = aws.rule(pattern, {"Arn": aws.queue_arn(queue)})
    aws.client("s3").put_object(Bucket=bucket, Key="key", Body=b"")
    told = len(aws.messages(queue)) == 1
    aws.drop_rule(rule)
    return aws.client("s3").get_bucket_versioning(Bucket=bucket).get("Status"), told
