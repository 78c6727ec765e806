"""`swath model register | versions | approve | reject`, `swath transform`: models on SageMaker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from swath.cli.remote import Stack

if TYPE_CHECKING:
    from swath.launching.registry import Approval, Version

Because = Annotated[str, typer.Option(help="Kept with the decision.")]
VersionArn = Annotated[str, typer.Argument(help="The version's ARN.", metavar="VERSION")]


def register(
    package: Annotated[str, typer.Argument(help="The S3 URI of a model.tar.gz.")],
    group: Annotated[str, typer.Argument(help="The group of its versions; made if there is none.")],
    *,
    stack: Stack = "swath",
) -> None:
    """Make a package the next version of a group in SageMaker's registry."""
    from swath.launching.deployment import Deployment  # noqa: PLC0415 (boto3 takes its time)
    from swath.launching.registry import register as make  # noqa: PLC0415

    _show(make(package, group, Deployment.of(stack)))


def versions(group: Annotated[str, typer.Argument(help="The group.")]) -> None:
    """List the versions of a group, the newest first."""
    from swath.launching.registry import versions as known  # noqa: PLC0415

    for version in known(group):
        _show(version)


def approve(version: VersionArn, *, because: Because = "") -> None:
    """Approve a version."""
    _decide(version, "Approved", because)


def reject(version: VersionArn, *, because: Because = "") -> None:
    """Reject a version."""
    _decide(version, "Rejected", because)


def transform(
    package: Annotated[str, typer.Argument(help="The S3 URI of a model.tar.gz.")],
    images: Annotated[str, typer.Argument(help="An S3 prefix: the images below it are taken.")],
    out: Annotated[str, typer.Argument(help="The S3 prefix to write to.")],
    *,
    instance_type: Annotated[
        str, typer.Option(help="Of the hosts; one without a GPU.")
    ] = "ml.m5.xlarge",
    instances: Annotated[int, typer.Option(help="How many hosts.", min=1)] = 1,
    stack: Stack = "swath",
) -> None:
    """Send every image below an S3 prefix through a model, as a SageMaker batch transform job."""
    from swath.launching.deployment import Deployment  # noqa: PLC0415
    from swath.launching.transform import TransformRequest  # noqa: PLC0415
    from swath.launching.transform import transform as start  # noqa: PLC0415

    kind: Any = instance_type  # one of hundreds of literals
    request = TransformRequest(
        package=package, images=images, out=out, instance_type=kind, instances=instances
    )
    job = start(request, Deployment.of(stack))
    if job.chips.notice:
        _print(job.chips.notice)
    _print(f"started the transform job {job.name} of {len(job.chips.keys)} image(s)")


def _decide(version: str, approval: Approval, because: str) -> None:
    from swath.launching.registry import decide  # noqa: PLC0415

    _show(decide(version, approval, because=because))


def _show(version: Version) -> None:
    _print(f"{version.arn}  {version.approval}  {version.digest}")


def _print(text: str) -> None:
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
