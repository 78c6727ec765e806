"""Define the settings of a deployment from which the shards and the cost of a run follow."""

from __future__ import annotations

from swath.messages.payload import Payload
from swath.messages.requests import Backend
from swath.settings import EndpointKind, PlanSettings


class DeployedSettings(Payload, frozen=True, kw_only=True):
    """Settings of a deployment, the stack's output `Settings` as JSON.

    The defaults are those of the deploy settings. Names and meanings are those of `infra.settings`.
    """

    backend: Backend = Backend.AUTO
    lambda_max_tiles: int = 2000
    lambda_memory_mib: int = 3008
    """Memory of `infer_shard` in MiB."""
    lambda_concurrency: int = 100
    gpu_instance_types: tuple[str, ...] = ("g6.xlarge", "g5.xlarge", "g4dn.xlarge")
    gpu_max_vcpus: int = 16
    batch: bool = True
    """Whether the stack has a job queue of AWS Batch."""
    endpoints: tuple[EndpointKind, ...] = (EndpointKind.SERVERLESS,)
    endpoint_instance_type: str = "ml.g5.xlarge"
    endpoint_max_instances: int = 2
    serverless_memory_mib: int = 3072
    serverless_max_concurrency: int = 5
    default_model: str = "ships"
    scene_sources: tuple[str, ...] = ()
    """Addresses below which the files of scenes may lie."""

    def plan_settings(self, work_uri: str) -> PlanSettings:
        """Return the settings of `plan_scene` in this deployment.

        Args:
            work_uri: Bucket or folder of the runs' plans and shards.
        """
        return PlanSettings(
            work_uri=work_uri,
            lambda_max_tiles=self.lambda_max_tiles,
            lambda_memory_mib=self.lambda_memory_mib,
            endpoints=self.endpoints,
            batch=self.batch,
        )
