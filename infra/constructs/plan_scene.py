"""Define the function that plans a run: it divides a scene into tiles and shards."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_s3 import IBucket
from constructs import Construct

from infra.constructs.function import BYTES_PER_GIB, Function
from infra.constructs.infer_shard import LAMBDA_MEMORY_MIB
from infra.constructs.model_catalog import ModelCatalog
from infra.grants import read_objects, read_sources, write_objects
from swath.models.packing import MAX_PACKAGE_BYTES
from swath.settings import EndpointKind, PlanSettings


class PlanScene(Function):
    """Lambda `plan_scene`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        scenes: IBucket,
        work: IBucket,
        models: ModelCatalog,
        scene_sources: Sequence[str],
        lambda_max_tiles: int,
        endpoints: tuple[EndpointKind, ...],
        has_batch: bool,
        log_retention: RetentionDays,
    ) -> None:
        settings = PlanSettings(
            work_uri=f"s3://{work.bucket_name}",
            lambda_max_tiles=lambda_max_tiles,
            lambda_memory_mib=LAMBDA_MEMORY_MIB,
            endpoints=endpoints,
            batch=has_batch,
            scene_sources=(f"s3://{scenes.bucket_name}/", *scene_sources),
        )
        super().__init__(
            scope,
            construct_id,
            name="plan_scene",
            environment=settings.to_env(),
            memory_mib=2048,
            timeout=Duration.minutes(15),
            # The disk must hold a package's archive, which may be slightly larger than its files.
            storage_gib=MAX_PACKAGE_BYTES // BYTES_PER_GIB + 1,
            log_retention=log_retention,
        )
        models.grant_read_packages(self.role)
        read_objects(self.role, scenes)
        read_sources(self.role, scene_sources)
        write_objects(self.role, work, "runs/*")
