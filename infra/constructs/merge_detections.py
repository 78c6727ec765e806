"""Define the function that merges the shards' detections into one file."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.function import Function
from infra.grants import read_objects, write_objects


class MergeDetections(Function):
    """Lambda `merge_detections`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        work: IBucket,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="merge_detections",
            environment={},
            memory_mib=3008,
            timeout=Duration.minutes(15),
            # The sort along the curve writes each row to a temporary file first.
            storage_gib=8,
            log_retention=log_retention,
        )
        read_objects(self.role, work, "runs/*")
        write_objects(self.role, work, "runs/*")
