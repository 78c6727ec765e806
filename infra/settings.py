"""Read the deploy settings, from `cdk.json` or `-c` on the command line; no other module does."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from infra.instance_types import unsupported_reason
from infra.scene_sources import check_sources
from swath.errors import SettingsError
from swath.messages import Backend
from swath.messages.deployed_settings import DeployedSettings
from swath.settings import EndpointKind, has_gpu

if TYPE_CHECKING:
    from constructs import Node

CONTEXT_KEY = "swath"

PositiveInt = Annotated[int, Meta(ge=1)]
Percentage = Annotated[int, Meta(ge=1, le=100)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
# A valid name of a CloudFormation stack, short enough to be part of other names.
StackName = Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9-]{0,29}$")]
# Aurora's capacity has steps of 0.5 ACU and a maximum of 256 ACU.
Acu = Annotated[float, Meta(ge=0, le=256, multiple_of=0.5)]
DEPLOYED_BACKENDS = tuple(backend for backend in Backend if backend is not Backend.LOCAL)
InstanceType = Annotated[str, Meta(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
BucketName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySettings:
    """Settings of a deployment: the keys of `swath` in `cdk.json`'s context.

    `-c swath:<key>=<value>` overrides a setting for one command.
    """

    stage: Literal["dev", "production"] = "dev"
    """Stage: deleting the stack keeps buckets and database in `production`, but not in `dev`."""
    name: StackName = "swath"
    """Name of the stack; an account may have several stacks."""
    models_dir: str = "models"
    """Folder of model packages: each folder or `.tar.gz` file in it is a package of that name."""
    default_model: str = "ships"
    """Name of the model for scenes that are dropped directly below `incoming/`."""
    backend: Backend = Backend.AUTO
    """Backend of shards. `auto` is Lambda for scenes with at most `lambda_max_tiles` tiles."""
    lambda_max_tiles: PositiveInt = 2000
    """Maximum number of non-empty tiles of a scene that `auto` sends to Lambda."""
    lambda_concurrency: PositiveInt = 100
    """Maximum number of concurrent shards of one scene on Lambda."""
    gpu_instance_types: tuple[str, ...] = ("g6.xlarge", "g5.xlarge", "g4dn.xlarge")
    """Types (`g5.xlarge`) or families (`g5`) with an NVIDIA GPU for every 4 vCPUs and 16 GiB.

    From a family, Batch takes any size and prefers a low price per vCPU, which means large hosts
    with one GPU.
    """
    gpu_max_vcpus: Annotated[int, Meta(ge=4)] = 16
    """Maximum number of vCPUs of GPU hosts, each for Spot and on-demand.

    Batch may exceed the maximum by one host. The smallest host has 4 vCPUs.
    """
    gpu_wait_hours: Annotated[int, Meta(ge=1, le=24)] = 4
    """Time in h that a blocked GPU queue waits for a host before the run fails; Batch allows 24."""
    spot_bid_percentage: Percentage = 100
    """Maximum price of a Spot host, in percent of its on-demand price."""
    database_min_acu: Acu = 0
    """Minimum capacity of the database in ACU; with 0, the database pauses when it is idle."""
    database_max_acu: Annotated[float, Meta(ge=1, le=256, multiple_of=0.5)] = 4
    """Maximum capacity of the database in ACU."""
    endpoints: tuple[EndpointKind, ...] = (EndpointKind.SERVERLESS,)
    """Kinds of SageMaker endpoints, one of each.

    They serve the default model to users, and infer shards of any model.
    """
    endpoint_instance_type: InstanceType = "ml.g5.xlarge"
    """Instance type of the real-time and asynchronous endpoints; one without a GPU is possible."""
    endpoint_max_instances: PositiveInt = 2
    """Maximum number of hosts of the real-time and asynchronous endpoints, each."""
    serverless_memory_mib: Annotated[int, Meta(ge=1024, le=6144, multiple_of=1024)] = 3072
    """Memory of the serverless endpoint in MiB."""
    serverless_max_concurrency: Annotated[int, Meta(ge=1, le=200)] = 5
    """Maximum number of concurrent requests to the serverless endpoint.

    The default is half of a new account's quota, since an update runs two endpoints at once.
    """
    training: bool = False
    """Whether the stack has the roles and the images of training and evaluation jobs."""
    data_buckets: tuple[BucketName, ...] = ()
    """Existing buckets, in this account or shared with it, that SageMaker jobs may read."""
    scene_sources: tuple[str, ...] = ()
    """Prefixes where the files of scenes may lie, besides the scenes bucket.

    A prefix is `s3://BUCKET/PREFIX/` or `https://HOST/PREFIX/`. Options follow an S3 prefix:
    `?region=us-west-2&requester_pays=true`.
    """
    tolerated_failures: Fraction = 0
    """Maximum fraction of a scene's tiles, 0 to 1, that may fail without failing the run."""
    score_threshold: Fraction | None = None
    """Minimum score of reported detections, 0 to 1, not below that of any package.

    With None, each package's own threshold applies.
    """
    delivery_hours: Annotated[int, Meta(ge=1, le=720)] = 6
    """Time in h after which a delivery that is still incomplete is reported."""
    notification_email: str = ""
    """Email address for reports of failures; empty for none."""
    log_retention_days: LogDays = 30
    """Time in days for which logs are kept."""
    work_retention_days: PositiveInt = 30
    """Time in days for which plans and shards are kept, so that a failed run can resume."""

    @property
    def has_gpu_queue(self) -> bool:
        """Whether runs can use AWS Batch; if not, the stack has no job queue, job or GPU image."""
        return self.backend in {Backend.AUTO, Backend.BATCH}

    def to_deployed(self, *, lambda_memory_mib: int) -> DeployedSettings:
        """Return the settings from which the shards and the cost of a run follow.

        Args:
            lambda_memory_mib: Memory of `infer_shard` in MiB.
        """
        names = {name for name in DeployedSettings.__struct_fields__ if hasattr(self, name)}
        return DeployedSettings(
            **{name: getattr(self, name) for name in names},
            lambda_memory_mib=lambda_memory_mib,
            batch=self.has_gpu_queue,
        )

    @property
    def retain(self) -> bool:
        """Whether deleting the stack keeps buckets and database."""
        return self.stage == "production"

    @classmethod
    def from_node(cls, node: Node) -> Self:
        """Read the settings from the context of an app.

        Raises:
            SettingsError: A key is unknown, or a value is not allowed.
        """
        return cls.from_context(node.get_all_context())

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Self:
        """Read the settings from the whole context of an app.

        Args:
            context: Context with `{"swath": {…}}` from `cdk.json`, and keys `swath:KEY` from the
                command line, which override it. Other keys are the CDK's.

        Raises:
            SettingsError: A key is unknown, or a value is not allowed.
        """
        prefix = f"{CONTEXT_KEY}:"
        overrides = {
            key.removeprefix(prefix): value
            for key, value in context.items()
            if key.startswith(prefix) and value is not None
        }
        return cls.from_values((context.get(CONTEXT_KEY) or {}) | overrides)

    def models_folder(self, root: Path) -> Path:
        """Return the folder of the models to deploy.

        Args:
            root: Folder of the checkout.

        Raises:
            SettingsError: There is no such folder.
        """
        folder = root / self.models_dir
        if not folder.is_dir():
            raise SettingsError(
                f"the deploy setting 'models_dir' is {self.models_dir!r}, but the folder {folder} "
                "does not exist; create the folder with a model package in it, or set another one"
            )
        return folder

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Create settings from values by key, and check them.

        Args:
            values: Values by key. They may be text, as on the command line.

        Raises:
            SettingsError: A key is unknown, or a value is not allowed. The error names the key, the
                value and the allowed values.
        """
        types = typing.get_type_hints(cls, include_extras=True)
        if unknown := sorted(values.keys() - types.keys()):
            raise SettingsError(
                f"unknown deploy setting {unknown[0]!r}; the settings are "
                f"{', '.join(sorted(types))}"
            )
        settings = cls(**{name: _convert_value(name, v, types[name]) for name, v in values.items()})
        settings._check_combinations()
        return settings

    def _check_combinations(self) -> None:
        check_sources(self.scene_sources)
        if self.database_min_acu > self.database_max_acu:
            raise SettingsError(
                f"the deploy setting 'database_min_acu' is {self.database_min_acu}; allowed "
                f"is at most the value of 'database_max_acu', {self.database_max_acu}"
            )
        for name in self.gpu_instance_types:
            if reason := unsupported_reason(name) or ("" if has_gpu(name) else "has no GPU"):
                raise SettingsError(
                    f"the deploy setting 'gpu_instance_types' has {name!r}, which {reason}"
                )
        if reason := unsupported_reason(self.endpoint_instance_type):
            raise SettingsError(
                "the deploy setting 'endpoint_instance_type' is "
                f"{self.endpoint_instance_type!r}, which {reason}"
            )
        if self.backend not in DEPLOYED_BACKENDS:
            raise _setting_error("backend", str(self.backend), ", ".join(DEPLOYED_BACKENDS))
        kind = self.backend.endpoint_kind
        if kind and kind not in self.endpoints:
            raise SettingsError(
                f"the deploy setting 'backend' is '{self.backend}', but the stack has no such "
                f"endpoint; add '{kind}' to 'endpoints', which has "
                f"{', '.join(self.endpoints) or 'none'}"
            )


def _convert_value(name: str, value: Any, kind: Any) -> Any:
    if typing.get_origin(kind) is tuple and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _setting_error(name, value, _describe_allowed(kind, error)) from None


def _setting_error(name: str, value: Any, allowed: str) -> SettingsError:
    return SettingsError(f"the deploy setting {name!r} is {value!r}; allowed is {allowed}")


def _describe_allowed(kind: Any, error: msgspec.ValidationError) -> str:
    if typing.get_origin(kind) is tuple:
        kind = typing.get_args(kind)[0]
    if kind is Backend:
        return ", ".join(DEPLOYED_BACKENDS)
    if kind is EndpointKind:
        return ", ".join(EndpointKind)
    if typing.get_origin(kind) is Literal:
        return ", ".join(map(str, typing.get_args(kind)))
    return str(error).removeprefix("Expected ").replace("`", "")
