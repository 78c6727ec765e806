"""Define the function that publishes a run's results in the results bucket."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.function import Function
from infra.grants import read_objects, write_objects
from swath.settings import PublishSettings
from swath.storage.addresses import TABLE_FOLDER


class PublishResults(Function):
    """Lambda `publish_results`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        work: IBucket,
        results: IBucket,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="publish_results",
            environment=PublishSettings(results_uri=f"s3://{results.bucket_name}").to_env(),
            memory_mib=1024,
            timeout=Duration.minutes(10),
            log_retention=log_retention,
        )
        read_objects(self.role, work, "runs/*")
        for folder in ("runs", TABLE_FOLDER, "stac/entries"):
            write_objects(self.role, results, f"{folder}/*")
