"""Environment variables: each name is written once, for the side that sets and the side that reads.

Values are strings, numbers, booleans and tuples of an enumeration only, so that CDK tokens (which
are strings until deploy time) pass through `to_env` untouched. Commas separate a tuple's members.
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
    """A kind of SageMaker endpoint; a stack has at most one endpoint of each."""

    REALTIME = "realtime"
    ASYNC = "async"
    SERVERLESS = "serverless"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvSettings:
    """A field `work_bucket` is the variable `SWATH_WORK_BUCKET`."""

    def to_env(self) -> dict[str, str]:
        """The variables to set on the container that reads these settings."""
        return {
            variable(f.name): _format(value)
            for f in dataclasses.fields(self)
            if (value := getattr(self, f.name)) is not None
        }

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read the settings from `env`, by default this process's environment.

        Raises:
            SettingsError: a variable is missing or is not of its field's type.
        """
        env = os.environ if env is None else env
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        for f in dataclasses.fields(cls):
            if (text := env.get(variable(f.name))) is not None:
                values[f.name] = _parse(variable(f.name), text, hints[f.name])
            elif f.default is dataclasses.MISSING:
                raise SettingsError(
                    f"the environment variable {variable(f.name)} is not set; give it "
                    "the value that the stack's template gives it"
                )
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRunSettings(EnvSettings):
    """Of `start_run`."""

    state_machine_arn: str
    catalogue_uri: str
    """S3 URI of a JSON object: model name → `{"uri": …, "digest": …}`."""
    default_model: str
    work_uri: str
    """Where the newest version dropped of each scene is noted, and where runs keep their plans."""
    incoming_prefix: str = "incoming/"
    backend: str = "auto"
    tolerated_failures: float = 0.0
    score_threshold: float | None = None
    """The lowest score that is reported; None: that of each model package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings(EnvSettings):
    """Of `plan_scene`, and of the laptop's planner."""

    work_uri: str
    """Where runs keep their plans and shards: `s3://bucket` or a folder."""
    lambda_max_tiles: int = 2000
    """`auto` sends a scene of at most this many tiles to Lambda, a larger one to Batch."""
    lambda_memory_mib: int = 3008
    """The memory of `infer_shard`; `auto` sends a scene to Batch whose blocks are too large."""
    lambda_shard_tiles: int = 32
    batch_shard_tiles: int = 4096
    endpoint_shard_tiles: int = 32
    """A real-time or serverless endpoint has a minute for a shard."""
    async_shard_tiles: int = 1024
    endpoints: tuple[EndpointKind, ...] = ()
    """The kinds of endpoint that are deployed; in the environment with commas between them."""
    batch: bool = True
    """Whether the queue of AWS Batch is deployed; without it `auto` is Lambda."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings(EnvSettings):
    """The settings of every process that reads scenes."""

    memory_mib: int = 0
    """MiB that the process may use; 0: what the machine, container or function has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeEndpointSettings(EnvSettings):
    """Of `invoke_endpoint`."""

    endpoint_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitShardSettings(EnvSettings):
    """Of `submit_shard`."""

    endpoint_name: str
    queue_seconds: int
    """How long a request may wait for a host; it takes minutes where there is none yet."""
    inference_seconds: int
    """How long a container may take for a shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRunSettings(EnvSettings):
    """Of `resume_run`."""

    work_uri: str
    """Where runs keep their requests; notifications of other objects are not for runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindCauseSettings(EnvSettings):
    """The settings of `find_cause`."""

    work_uri: str
    """Where Batch jobs leave why they failed."""
    results_uri: str
    """Where the summary of a failed run is written, beside those of runs that succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings(EnvSettings):
    """Of every function that opens a database connection."""

    database_host: str
    database_port: int = 5432
    database_name: str = "swath"
    database_user: str = "swath"
    database_sslmode: str = "verify-full"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareDatabaseSettings(EnvSettings):
    """Of `prepare_database`, which reaches the cluster by the RDS Data API as its master user."""

    cluster_arn: str
    master_secret_arn: str
    database_name: str = "swath"
    database_user: str = "swath"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings(EnvSettings):
    """Of `publish_results`."""

    results_uri: str
    """`s3://bucket` or a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings(EnvSettings):
    """Of every process that runs a model or trains one."""

    device: str = "auto"
    """`cuda` where a GPU is paid for: a process that finds none it can use ends. `cpu` uses none.
    `auto` uses a GPU where there is one, and the CPU where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings(EnvSettings):
    """Of every process that runs a model."""

    model_seconds: float = 300.0
    """How long a model may take to load, and for each answer to a batch of tiles."""

    def __post_init__(self) -> None:
        if not 0 < self.model_seconds < math.inf:
            raise SettingsError(
                f"{variable('model_seconds')} is {self.model_seconds:g}; give seconds, above 0"
            )


def has_gpu(instance_type: str) -> bool:
    """Return whether an instance type (`ml.g5.xlarge`) or a family (`g5`) has a GPU."""
    return instance_type.removeprefix("ml.").startswith(("g", "p"))


def variable(field: str) -> str:
    """The environment variable of a settings field."""
    return PREFIX + field.upper()


def _format(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(value)
        case _:
            return str(value)


def _parse(name: str, text: str, kind: Any) -> Any:
    is_tuple = typing.get_origin(kind) is tuple
    value = [part for part in text.split(",") if part] if is_tuple else text
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        if is_tuple:
            expected = f"a list, with commas, of {', '.join(typing.get_args(kind)[0])}"
        else:
            expected = getattr(kind, "__name__", None) or str(kind).removesuffix(" | None")
        raise SettingsError(f"{name} is {text!r}; expected {expected}") from None
