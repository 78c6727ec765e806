"""Define the function that loads a run's detections into the database."""

from __future__ import annotations

from typing import Unpack

from aws_cdk import Duration
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.database_function import DatabaseAccess, DatabaseFunction
from infra.grants import read_objects


class LoadDetections(DatabaseFunction):
    """Lambda `load_detections`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        work: IBucket,
        **database_access: Unpack[DatabaseAccess],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="load_detections",
            memory_mib=2048,
            timeout=Duration.minutes(15),
            storage_gib=4,
            **database_access,
        )
        read_objects(self.role, work, "runs/*")
