"""The buckets."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk.aws_s3 import (
    BlockPublicAccess,
    Bucket,
    BucketEncryption,
    CfnBucket,
    LifecycleRule,
    ObjectOwnership,
)
from constructs import Construct

from infra.grants import acknowledge

_ACCESS_LOG_RETENTION = Duration.days(90)
_OLD_VERSION_RETENTION = Duration.days(30)


class Storage(Construct):
    """One bucket each for scenes, for what runs hand from step to step, and for results.

    Attributes:
        scenes: where users drop scenes; S3 tells EventBridge of each.
        work: plans, shards and what people ask of the asynchronous endpoint, which expire.
        results: GeoParquet and STAC Items.
        logs: who read and wrote the others, and the network's flow logs. It always outlives its
            stack: AWS delivers logs for hours after the last of the other buckets was emptied,
            and a bucket with something in it cannot be deleted. What is in it expires.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, retain: bool, work_retention: Duration
    ) -> None:
        super().__init__(scope, construct_id)
        self._removal = RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY
        self.logs = self._bucket(
            "Logs",
            removal=RemovalPolicy.RETAIN,
            # Log delivery writes with ACLs off; without this CDK turns them on for it.
            object_ownership=ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[LifecycleRule(expiration=_ACCESS_LOG_RETENTION)],
        )
        acknowledge(
            self.logs,
            "AwsSolutions-S1",
            because="The bucket of access logs: logging itself would never end.",
        )
        self.scenes = self._logged_bucket(
            "Scenes",
            versioned=True,
            lifecycle_rules=[LifecycleRule(noncurrent_version_expiration=_OLD_VERSION_RETENTION)],
        )
        _tell_eventbridge(self.scenes)
        self.work = self._logged_bucket(
            "Work",
            lifecycle_rules=[
                LifecycleRule(prefix=prefix, expiration=work_retention)
                for prefix in ("runs/", "invocations/")
            ],
        )
        self.results = self._logged_bucket("Results")

    def _logged_bucket(self, name: str, **options: Any) -> Bucket:
        return self._bucket(
            name,
            server_access_logs_bucket=self.logs,
            server_access_logs_prefix=f"access/{name.lower()}/",
            **options,
        )

    def _bucket(
        self,
        name: str,
        *,
        lifecycle_rules: list[LifecycleRule] | None = None,
        removal: RemovalPolicy | None = None,
        **options: Any,
    ) -> Bucket:
        uploads = LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(7))
        removal = removal or self._removal
        bucket = Bucket(
            self,
            name,
            encryption=BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=BlockPublicAccess.BLOCK_ALL,
            removal_policy=removal,
            lifecycle_rules=[uploads, *(lifecycle_rules or ())],
            **options,
        )
        # A bucket that stays keeps its policy, which refuses requests without TLS.
        if bucket.policy:
            bucket.policy.apply_removal_policy(removal)
        return bucket


def _tell_eventbridge(bucket: Bucket) -> None:
    # `event_bridge_enabled=True` does the same by a function that runs at deployment.
    resource = bucket.node.default_child
    assert isinstance(resource, CfnBucket)  # noqa: S101 - narrows the type
    resource.notification_configuration = CfnBucket.NotificationConfigurationProperty(
        event_bridge_configuration=CfnBucket.EventBridgeConfigurationProperty(
            event_bridge_enabled=True
        )
    )
