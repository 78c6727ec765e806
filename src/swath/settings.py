"""Define the environment variables of every process, once for those that set and those that read.

Values are strings, numbers, booleans and tuples of an enumeration or of strings only, so that CDK
tokens (which are strings until deploy time) pass through `to_env` unchanged. Commas separate a
tuple's members.
"""

from __future__ import annotations

import dataclasses
import math
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import msgspec

from swath.errors import SettingsError

PREFIX = "SWATH_"


class EndpointKind(StrEnum):
    """Kind of a SageMaker endpoint; a stack has at most one endpoint of each kind."""

    REALTIME = "realtime"
    ASYNC = "async"
    SERVERLESS = "serverless"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvSettings:
    """Settings read from the environment: field `work_uri` is the variable `SWATH_WORK_URI`."""

    def to_env(self) -> dict[str, str]:
        """Return the environment variables of these settings; fields that are None have none."""
        return {
            variable_name(f.name): _format_value(value)
            for f in dataclasses.fields(self)
            if (value := getattr(self, f.name)) is not None
        }

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read the settings from `env`, by default this process's environment.

        Raises:
            SettingsError: A variable is missing or does not have its field's type.
        """
        env = os.environ if env is None else env
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        for f in dataclasses.fields(cls):
            if (text := env.get(variable_name(f.name))) is not None:
                values[f.name] = _parse_value(variable_name(f.name), text, hints[f.name])
            elif f.default is dataclasses.MISSING:
                raise SettingsError(
                    f"the environment variable {variable_name(f.name)} is not set; set it to the "
                    "value in the stack's template"
                )
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRunSettings(EnvSettings):
    """Settings of `start_run`."""

    state_machine_arn: str
    catalog_uri: str
    """S3 URI of a JSON object: model name → `{"uri": …, "digest": …}`."""
    default_model: str
    """Name of the model for scenes that are dropped outside the folder of a model."""
    work_uri: str
    """Bucket (`s3://bucket`) or folder for the notes of latest drops and for the runs' plans."""
    incoming_prefix: str = "incoming/"
    """Key prefix of dropped scenes."""
    deliveries_prefix: str = "deliveries/"
    """Key prefix of folders that become scenes once they are complete."""
    delivery_hours: float = 6
    """Time in h after which a delivery that is still incomplete is reported."""
    backend: str = "auto"
    tolerated_failures: float = 0.0
    """Maximum fraction of planned tiles, 0 to 1, that may fail without failing the run."""
    score_threshold: float | None = None
    """Minimum score of reported detections, 0 to 1; None for the threshold of each package."""
    scene_sources: tuple[str, ...] = ()
    """Prefixes of addresses where the files of a scene may lie, besides the folder of its document;
    `swath.items.SceneSources` reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchDeliveriesSettings(StartRunSettings):
    """Settings of `watch_deliveries`, which can start runs as `start_run` does."""

    topic_arn: str
    """Topic to which incomplete deliveries are reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings(EnvSettings):
    """Settings of `plan_scene` and of local planning."""

    work_uri: str
    """Bucket (`s3://bucket`) or folder of the runs' plans and shards."""
    lambda_max_tiles: int = 2000
    """Maximum number of non-empty tiles of a scene that `auto` sends to Lambda, not to Batch."""
    lambda_memory_mib: int = 3008
    """Memory of `infer_shard` in MiB; `auto` sends a scene with too large blocks to Batch."""
    lambda_shard_tiles: int = 32
    """Maximum number of tiles of a shard on Lambda."""
    batch_shard_tiles: int = 4096
    """Maximum number of tiles of a shard on Batch."""
    endpoint_shard_tiles: int = 32
    """Maximum number of tiles of a shard on a real-time or serverless endpoint.

    Such an endpoint must respond within a minute.
    """
    async_shard_tiles: int = 1024
    """Maximum number of tiles of a shard on an asynchronous endpoint."""
    endpoints: tuple[EndpointKind, ...] = ()
    """Kinds of the deployed endpoints; the environment variable separates them by commas."""
    batch: bool = True
    """Whether the stack has a job queue of AWS Batch; without it, `auto` means Lambda."""
    scene_sources: tuple[str, ...] = ()
    """Prefixes of addresses where the files of a scene may lie, besides the folder of its document;
    `swath.items.SceneSources` reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings(EnvSettings):
    """Settings of every process that reads scenes."""

    memory_mib: int = 0
    """Memory that the process may use in MiB; 0 for all of the machine, container or function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeEndpointSettings(EnvSettings):
    """Settings of `invoke_endpoint`."""

    endpoint_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitShardSettings(EnvSettings):
    """Settings of `submit_shard`."""

    endpoint_name: str
    queue_seconds: int
    """Maximum time in s that a request may wait for a host; starting a host takes minutes."""
    inference_seconds: int
    """Maximum time in s that a container may take for a shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRunSettings(EnvSettings):
    """Settings of `resume_run`."""

    work_uri: str
    """Bucket of the runs' requests; notifications about other objects do not concern runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindCauseSettings(EnvSettings):
    """Settings of `find_cause`."""

    work_uri: str
    """Bucket to which failed Batch jobs write their errors."""
    results_uri: str
    """Bucket for summaries of failed runs, the same as for those of successful runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings(EnvSettings):
    """Settings of every function that opens a database connection."""

    database_host: str
    database_port: int = 5432
    database_name: str = "swath"
    database_user: str = "swath"
    database_sslmode: str = "verify-full"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareDatabaseSettings(EnvSettings):
    """Settings of `prepare_database`, which uses the RDS Data API as the cluster's master user."""

    cluster_arn: str
    master_secret_arn: str
    database_name: str = "swath"
    database_user: str = "swath"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings(EnvSettings):
    """Settings of `publish_results`."""

    results_uri: str
    """Bucket (`s3://bucket`) or folder of published results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings(EnvSettings):
    """Settings of every process that runs or trains a model."""

    device: str = "auto"
    """Device: `cuda`, `cpu`, or `auto` for a GPU if there is one and the CPU otherwise.

    `cuda` is for hosts whose GPU is paid for: a process without a usable GPU ends with an error.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings(EnvSettings):
    """Settings of every process that runs a model."""

    model_seconds: float = 300.0
    """Timeout in s for loading a model, and for its output of each batch of tiles."""

    def __post_init__(self) -> None:
        if not 0 < self.model_seconds < math.inf:
            raise SettingsError(
                f"{variable_name('model_seconds')} is {self.model_seconds:g}; give seconds above 0"
            )


def has_gpu(instance_type: str) -> bool:
    """Return whether an instance type (`ml.g5.xlarge`) or a family (`g5`) has a GPU."""
    return instance_type.removeprefix("ml.").startswith(("g", "p"))


def variable_name(field: str) -> str:
    """Return the name of a settings field's environment variable."""
    return PREFIX + field.upper()


def _format_value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(value)
        case _:
            return str(value)


def _parse_value(name: str, text: str, kind: Any) -> Any:
    is_tuple = typing.get_origin(kind) is tuple
    value = [part for part in text.split(",") if part] if is_tuple else text
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        if is_tuple:
            expected = f"a comma-separated list of {', '.join(typing.get_args(kind)[0])}"
        else:
            expected = getattr(kind, "__name__", None) or str(kind).removesuffix(" | None")
        raise SettingsError(f"{name} is {text!r}; expected {expected}") from None
