"""Define the function that runs a model over one shard on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.function import BYTES_PER_GIB, Function
from infra.constructs.model_catalog import ModelCatalog
from infra.grants import read_objects, read_sources, write_objects
from swath.models.packing import MAX_PACKAGE_BYTES

LAMBDA_MEMORY_MIB = 3008
"""Memory of the function in MiB: a new account's maximum, which comes with nearly two CPUs."""


class InferShard(Function):
    """Lambda `infer_shard`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        scenes: IBucket,
        work: IBucket,
        models: ModelCatalog,
        scene_sources: Sequence[str],
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="infer_shard",
            environment={},
            memory_mib=LAMBDA_MEMORY_MIB,
            timeout=Duration.minutes(15),
            # The disk must hold a package's archive, its unpacked files and the shard's results.
            storage_gib=2 * MAX_PACKAGE_BYTES // BYTES_PER_GIB + 2,
            log_retention=log_retention,
        )
        models.grant_read_packages(self.role)
        read_objects(self.role, scenes)
        read_sources(self.role, scene_sources)
        read_objects(self.role, work, "runs/*")
        write_objects(self.role, work, "runs/*")
