"""Define the function that updates the STAC catalog of the results bucket, and its schedule."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from aws_cdk.aws_sqs import IQueue
from constructs import Construct

from infra.constructs.function import Function
from infra.constructs.schedule import call_regularly
from infra.grants import read_objects, write_objects
from swath.settings import PublishSettings

INTERVAL = Duration.minutes(15)


class UpdateCatalog(Function):
    """Lambda `update_catalog`.

    Attributes:
        rule: Rule that calls the function every 15 minutes.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        results: IBucket,
        dead_letter_queue: IQueue,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="update_catalog",
            environment=PublishSettings(results_uri=f"s3://{results.bucket_name}").to_env(),
            memory_mib=2048,
            timeout=Duration.minutes(14),
            log_retention=log_retention,
        )
        read_objects(self.role, results, "stac/*")
        write_objects(self.role, results, "stac/*")
        self.rule = call_regularly(
            self,
            INTERVAL,
            description="swath: published runs are added to the STAC catalog",
            dead_letter_queue=dead_letter_queue,
        )
