"""Deploy settings: read here and nowhere else, from `cdk.json` or `-c` on the command line."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from infra.instance_types import why_unusable
from swath.errors import SettingsError
from swath.messages import Backend
from swath.settings import EndpointKind, has_gpu

if TYPE_CHECKING:
    from constructs import Node

CONTEXT_KEY = "swath"

Count = Annotated[int, Meta(ge=1)]
Percentage = Annotated[int, Meta(ge=1, le=100)]
Share = Annotated[float, Meta(ge=0, le=1)]
# What CloudFormation takes as the name of a stack, short enough to be part of other names.
StackName = Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9-]{0,29}$")]
# Half an ACU is the least step; 256 the most that Aurora has.
Acu = Annotated[float, Meta(ge=0, le=256, multiple_of=0.5)]
DEPLOYED_BACKENDS = tuple(backend for backend in Backend if backend is not Backend.LOCAL)
InstanceType = Annotated[str, Meta(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
BucketName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySettings:
    """What a deployment may choose: the keys of `swath` in `cdk.json`'s context.

    `-c swath:<key>=<value>` overrides one of them for one command.
    """

    stage: Literal["dev", "production"] = "dev"
    """`production` keeps the buckets and the database when the stack is deleted; `dev` does not."""
    name: StackName = "swath"
    """The stack's name: several may live in one account."""
    models_dir: str = "models"
    """Each folder or `.tar.gz` file in this folder is a model package and gives it its name."""
    default_model: str = "ships"
    """The model of a scene that is dropped at `incoming/` itself."""
    backend: Backend = Backend.AUTO
    """Where shards run. `auto`: on Lambda if the scene has at most `lambda_max_tiles` tiles."""
    lambda_max_tiles: Count = 2000
    lambda_concurrency: Count = 100
    """How many shards of one scene run on Lambda at the same time."""
    gpu_instance_types: tuple[str, ...] = ("g6.xlarge", "g5.xlarge", "g4dn.xlarge")
    """Types (`g5.xlarge`) or families (`g5`) with an NVIDIA GPU for every 4 vCPUs and 16 GiB.

    Of a family Batch takes any size, and prefers a low price a vCPU: large hosts with one GPU.
    """
    gpu_max_vcpus: Annotated[int, Meta(ge=4)] = 16
    """A bound on the GPU hosts, for Spot and on-demand each, which Batch may exceed by one host.

    The smallest host has 4 vCPUs.
    """
    gpu_wait_hours: Annotated[int, Meta(ge=1, le=24)] = 4
    """How long a blocked GPU queue waits for a host before the run fails. Batch allows 24 h."""
    spot_bid_percentage: Percentage = 100
    """What to pay for a Spot host at most, in percent of its on-demand price."""
    database_min_acu: Acu = 0
    """With 0 the database pauses when nobody uses it."""
    database_max_acu: Annotated[float, Meta(ge=1, le=256, multiple_of=0.5)] = 4
    endpoints: tuple[EndpointKind, ...] = (EndpointKind.SERVERLESS,)
    """SageMaker endpoints that serve the default model, and shards of any; one of each kind."""
    endpoint_instance_type: InstanceType = "ml.g5.xlarge"
    """Of the real-time and the asynchronous endpoint; without a GPU they get the CPU image."""
    endpoint_max_instances: Count = 2
    """A bound on the hosts of each of the two."""
    serverless_memory_mib: Annotated[int, Meta(ge=1024, le=6144, multiple_of=1024)] = 3072
    serverless_max_concurrency: Annotated[int, Meta(ge=1, le=200)] = 5
    """The default is half of what a new account has, since an update runs two endpoints at once."""
    training: bool = False
    """Whether there are the roles and the images of training and evaluation jobs."""
    data_buckets: tuple[BucketName, ...] = ()
    """Buckets of yours, in the same account or shared with it, that SageMaker jobs may read."""
    tolerated_failures: Share = 0
    """The share of a scene's tiles, 0 to 1, that may fail before the run does."""
    score_threshold: Share | None = None
    """The lowest score that runs report, at or above that of each package; None: each its own."""
    notification_email: str = ""
    """Who is told of failures. Empty: nobody, until somebody subscribes to the topic."""
    log_retention_days: LogDays = 30
    work_retention_days: Count = 30
    """How long plans and shards are kept: until then a failed run can be taken up again."""

    @property
    def has_gpu_queue(self) -> bool:
        """Whether a run can go to AWS Batch: without, the stack has no queue, job or GPU image."""
        return self.backend in {Backend.AUTO, Backend.BATCH}

    @property
    def retain(self) -> bool:
        """Whether buckets and database outlive the stack."""
        return self.stage == "production"

    @classmethod
    def from_context(cls, node: Node) -> Self:
        """Read the settings of an app.

        Raises:
            SettingsError: as `from_values`.
        """
        return cls.from_whole_context(node.get_all_context())

    @classmethod
    def from_whole_context(cls, context: Mapping[str, Any]) -> Self:
        """Read the settings among all that an app is given.

        Args:
            context: `{"swath": {…}}` as in `cdk.json`, and `swath:KEY` of the command line, which
                overrides it; whatever else there is, is of the CDK.

        Raises:
            SettingsError: as `from_values`.
        """
        prefix = f"{CONTEXT_KEY}:"
        overrides = {
            key.removeprefix(prefix): value
            for key, value in context.items()
            if key.startswith(prefix) and value is not None
        }
        return cls.from_values((context.get(CONTEXT_KEY) or {}) | overrides)

    def models_folder(self, root: Path) -> Path:
        """Return the folder of the models that are deployed.

        Args:
            root: folder of the checkout.

        Raises:
            SettingsError: there is no such folder.
        """
        folder = root / self.models_dir
        if not folder.is_dir():
            raise SettingsError(
                f"the deploy setting 'models_dir' is {self.models_dir!r}, and there is no folder "
                f"{folder}; make it, with a model package in it, or name another"
            )
        return folder

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Check values by key. They may be text, as the command line gives them.

        Raises:
            SettingsError: a key is unknown or its value is not one that it can have; the message
                names the key, the value and what is allowed.
        """
        kinds = typing.get_type_hints(cls, include_extras=True)
        if unknown := sorted(values.keys() - kinds.keys()):
            raise SettingsError(
                f"unknown deploy setting {unknown[0]!r}; there are {', '.join(sorted(kinds))}"
            )
        settings = cls(**{name: _convert(name, v, kinds[name]) for name, v in values.items()})
        settings._check_together()
        return settings

    def _check_together(self) -> None:
        if self.database_min_acu > self.database_max_acu:
            raise SettingsError(
                f"the deploy setting 'database_min_acu' is {self.database_min_acu}; allowed "
                f"is at most 'database_max_acu', {self.database_max_acu}"
            )
        for name in self.gpu_instance_types:
            if why := why_unusable(name) or ("" if has_gpu(name) else "has no GPU"):
                raise SettingsError(
                    f"the deploy setting 'gpu_instance_types' has {name!r}, which {why}"
                )
        if why := why_unusable(self.endpoint_instance_type):
            raise SettingsError(
                "the deploy setting 'endpoint_instance_type' is "
                f"{self.endpoint_instance_type!r}, which {why}"
            )
        if self.backend not in DEPLOYED_BACKENDS:
            raise _refusal("backend", str(self.backend), ", ".join(DEPLOYED_BACKENDS))
        kind = self.backend.endpoint_kind
        if kind and kind not in self.endpoints:
            raise SettingsError(
                f"the deploy setting 'backend' is '{self.backend}'; allowed is an endpoint that "
                f"is deployed, so add '{kind}' to 'endpoints', which has "
                f"{', '.join(self.endpoints) or 'none'}"
            )


def _convert(name: str, value: Any, kind: Any) -> Any:
    if typing.get_origin(kind) is tuple and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(name, value, _allowed(kind, error)) from None


def _refusal(name: str, value: Any, allowed: str) -> SettingsError:
    return SettingsError(f"the deploy setting {name!r} is {value!r}; allowed is {allowed}")


def _allowed(kind: Any, error: msgspec.ValidationError) -> str:
    if typing.get_origin(kind) is tuple:
        kind = typing.get_args(kind)[0]
    if kind is Backend:
        return ", ".join(DEPLOYED_BACKENDS)
    if kind is EndpointKind:
        return ", ".join(EndpointKind)
    if typing.get_origin(kind) is Literal:
        return ", ".join(map(str, typing.get_args(kind)))
    return str(error).removeprefix("Expected ").replace("`", "")
