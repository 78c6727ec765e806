"""Define the buckets."""

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
_CATALOG_ENTRY_RETENTION = Duration.days(30)
_OLD_VERSION_RETENTION = Duration.days(30)


class Storage(Construct):
    """Buckets for scenes, for the work of runs, for results and for logs.

    Attributes:
        scenes: Bucket in which users drop scenes; S3 notifies EventBridge of each.
        work: Bucket of plans, shards and requests to the asynchronous endpoint, which expire.
        results: Bucket of results: GeoParquet and STAC Items.
        logs: Bucket of the other buckets' access logs and of the network's flow logs, which expire.
            Deleting the stack always keeps it: AWS delivers logs for hours after the other buckets
            were emptied, and a bucket with objects cannot be deleted.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, retain: bool, work_retention: Duration
    ) -> None:
        super().__init__(scope, construct_id)
        self._removal_policy = RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY
        self.logs = self._bucket(
            "Logs",
            removal_policy=RemovalPolicy.RETAIN,
            # Log delivery works without ACLs; without this option, the CDK turns them on for it.
            object_ownership=ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[LifecycleRule(expiration=_ACCESS_LOG_RETENTION)],
        )
        acknowledge(
            self.logs,
            "AwsSolutions-S1",
            because="Access logs of the log bucket itself would never end.",
        )
        self.scenes = self._logged_bucket(
            "Scenes",
            versioned=True,
            lifecycle_rules=[LifecycleRule(noncurrent_version_expiration=_OLD_VERSION_RETENTION)],
        )
        _enable_eventbridge(self.scenes)
        self.work = self._logged_bucket(
            "Work",
            lifecycle_rules=[
                LifecycleRule(prefix=prefix, expiration=work_retention)
                for prefix in ("runs/", "invocations/", "deliveries/due/")
            ],
        )
        self.results = self._logged_bucket(
            "Results",
            lifecycle_rules=[
                LifecycleRule(prefix="stac/entries/", expiration=_CATALOG_ENTRY_RETENTION)
            ],
        )

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
        removal_policy: RemovalPolicy | None = None,
        **options: Any,
    ) -> Bucket:
        uploads = LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(7))
        removal_policy = removal_policy or self._removal_policy
        bucket = Bucket(
            self,
            name,
            encryption=BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=BlockPublicAccess.BLOCK_ALL,
            removal_policy=removal_policy,
            lifecycle_rules=[uploads, *(lifecycle_rules or ())],
            **options,
        )
        # A retained bucket also retains its policy, which refuses requests without TLS.
        if bucket.policy:
            bucket.policy.apply_removal_policy(removal_policy)
        return bucket


def _enable_eventbridge(bucket: Bucket) -> None:
    # The CDK's `event_bridge_enabled=True` needs a function that runs at deployment.
    resource = bucket.node.default_child
    assert isinstance(resource, CfnBucket)  # noqa: S101 - narrows the type
    resource.notification_configuration = CfnBucket.NotificationConfigurationProperty(
        event_bridge_configuration=CfnBucket.EventBridgeConfigurationProperty(
            event_bridge_enabled=True
        )
    )
