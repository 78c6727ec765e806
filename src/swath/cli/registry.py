"""Define the commands for SageMaker's model registry and batch transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swath.cli.console import print_line
from swath.cli.options import jobs

if TYPE_CHECKING:
    from swath.sagemaker.jobs.registry import Approval, ModelVersion


def register(model: jobs.ModelUri, group: jobs.ModelGroup, *, stack: jobs.Stack = "swath") -> None:
    """Register a model package as the next version of a group; create a missing group."""
    from swath.sagemaker.jobs.registry import register_model
    from swath.stack import Deployment

    _print_version(register_model(model, group, Deployment.from_stack(stack)))


def versions(group: jobs.ModelGroup) -> None:
    """List the model versions of a group, newest first."""
    from swath.sagemaker.jobs.registry import list_versions

    for version in list_versions(group):
        _print_version(version)


def approve(version: jobs.ModelVersion, *, reason: jobs.Reason = "") -> None:
    """Approve a model version."""
    _record_decision(version, "Approved", reason)


def reject(version: jobs.ModelVersion, *, reason: jobs.Reason = "") -> None:
    """Reject a model version."""
    _record_decision(version, "Rejected", reason)


def transform(
    model: jobs.ModelUri,
    images: jobs.ImagesPrefix,
    results: jobs.ResultsPrefix,
    *,
    instance_type: jobs.InstanceType = "ml.m5.xlarge",
    instances: jobs.Instances = 1,
    stack: jobs.Stack = "swath",
) -> None:
    """Run a model on the images below an S3 prefix, as a SageMaker batch transform job.

    The job runs on CPUs: choose an instance type without a GPU.
    """
    from swath.sagemaker.jobs.transform import TransformJob, launch_transform
    from swath.stack import Deployment

    kind: Any = instance_type  # one of hundreds of literals
    request = TransformJob(
        package=model, images=images, out=results, instance_type=kind, instances=instances
    )
    job = launch_transform(request, Deployment.from_stack(stack))
    if job.chips.notice:
        print_line(job.chips.notice)
    print_line(f"started the transform job {job.name} of {len(job.chips.keys)} image(s)")


def _record_decision(version: str, approval: Approval, reason: str) -> None:
    from swath.sagemaker.jobs.registry import set_approval

    _print_version(set_approval(version, approval, reason=reason))


def _print_version(version: ModelVersion) -> None:
    print_line(f"{version.arn}  {version.approval}  {version.digest}")
