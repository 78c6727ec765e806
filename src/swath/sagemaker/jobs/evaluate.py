"""Start evaluations on SageMaker as Processing jobs, which measure the same as on a laptop."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from swath import storage
from swath.models.package import describe_package
from swath.models.packing import pack
from swath.sagemaker.jobs.costs import PROCESSING, MaxCost, calculate_max_cost
from swath.sagemaker.jobs.hosts import check_has_no_accelerator
from swath.sagemaker.jobs.inputs import check_inputs, upload_inputs
from swath.sagemaker.jobs.names import unique_name

if TYPE_CHECKING:
    from swath.stack import Deployment

PROCESSING_FOLDER = "/opt/ml/processing"
"""Folder of the job's inputs and outputs in its container."""
_VOLUME_GIB = 100
_SECONDS_PER_HOUR = 3600
_PACKAGE_SOURCES = ("model", "in_use")
_CPU_REASON = "metrics are measured on a CPU, so that they do not depend on the machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationJob:
    """An evaluation to launch. Sources are S3 URIs or local paths, which are uploaded."""

    package: str
    """Source of the model package: a folder or a `model.tar.gz`."""
    images: str
    """Folder of the scenes."""
    labels: str | None
    """File or folder of the labels; None where they lie beside the images."""
    against: str | None
    """Package in use, or its `evaluation.json`, to compare with; None for no comparison."""
    arguments: Sequence[str]
    """Arguments of the container's command line."""
    instance_type: str
    """Instance type of the host, without an accelerator."""
    hours: float
    """Time limit in hours, after which SageMaker stops the job."""
    hourly_price: float | None = None
    """Price of the instance in US dollars per hour; None for AWS's price list."""

    @property
    def sources(self) -> dict[str, str]:
        """Sources that the job reads, by the names of their folders in the container."""
        sources = {
            "model": self.package,
            "images": self.images,
            "labels": self.labels,
            "in_use": self.against,
        }
        return {name: source for name, source in sources.items() if source is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchedEvaluation:
    """An evaluation that was started."""

    name: str
    """Name of the processing job."""
    report: str
    """S3 URI below which the job writes `report.html`, `evaluation.json` and `verdict.json`."""


def max_cost(job: EvaluationJob, region: str) -> MaxCost:
    """Return the maximum cost of an evaluation.

    Raises:
        InputError: The price is not known.
    """
    return calculate_max_cost(
        job.instance_type, job.hours, region, price=job.hourly_price, component=PROCESSING
    )


def check_evaluation(job: EvaluationJob, deployment: Deployment) -> None:
    """Check that the job can run on its host and read its sources.

    Raises:
        InputError: The host has an accelerator, a local source does not exist, or the stack's role
            may not read a source.
    """
    check_has_no_accelerator(job.instance_type, reason=_CPU_REASON)
    for name, source in job.sources.items():
        if storage.is_s3(source) and name in _PACKAGE_SOURCES:
            other_uris = [deployment.packages_uri, f"{deployment.evaluations_uri}/"]
            deployment.check_readable(source, also_readable=other_uris)
        else:
            check_inputs({name: source}, deployment)


def launch_evaluation(job: EvaluationJob, deployment: Deployment) -> LaunchedEvaluation:
    """Start an evaluation.

    Raises:
        InputError: The stack does not evaluate, or `check_evaluation` raises it.
        PackageError: There is no package, or it cannot be used.
    """
    check_evaluation(job, deployment)
    role, image = deployment.evaluation_role, deployment.evaluation_image
    info = describe_package(job.package)
    name = unique_name(info.description.name)
    report = storage.join(deployment.evaluations_uri, name)
    sources = _upload_sources(job.sources, deployment)
    boto3.client("sagemaker", region_name=deployment.region).create_processing_job(
        ProcessingJobName=name,
        RoleArn=role,
        AppSpecification={"ImageUri": image, "ContainerArguments": list(job.arguments)}
        if job.arguments
        else {"ImageUri": image},
        ProcessingInputs=[_processing_input(folder, uri) for folder, uri in sources.items()],
        ProcessingOutputConfig={"Outputs": [_processing_output(report)]},
        ProcessingResources={"ClusterConfig": _cluster_config(job.instance_type)},
        StoppingCondition={"MaxRuntimeInSeconds": round(job.hours * _SECONDS_PER_HOUR)},
        Tags=[{"Key": "swath:digest", "Value": info.digest}],
    )
    return LaunchedEvaluation(name=name, report=f"{report}/")


def _upload_sources(sources: dict[str, str], deployment: Deployment) -> dict[str, str]:
    """Upload local sources, packing packages that are folders, and return each source's S3 URI."""
    with tempfile.TemporaryDirectory(prefix="swath-evaluate-") as temporary:
        packed = dict(sources)
        for name in _PACKAGE_SOURCES:
            source = sources.get(name, "")
            if source and not storage.is_s3(source) and Path(source).is_dir():
                archive = Path(temporary, name, "model.tar.gz")
                archive.parent.mkdir()
                pack(Path(source), archive)
                packed[name] = str(archive)
        remote = {name: uri for name, uri in packed.items() if storage.is_s3(uri)}
        local = {name: path for name, path in packed.items() if name not in remote}
        return remote | upload_inputs(local, deployment)


def _processing_input(folder: str, uri: str) -> Any:
    return {
        "InputName": folder,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{PROCESSING_FOLDER}/input/{folder}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        },
    }


def _processing_output(report: str) -> Any:
    return {
        "OutputName": "report",
        "S3Output": {
            "S3Uri": report,
            "LocalPath": f"{PROCESSING_FOLDER}/output",
            # A rejected package fails the job, and `EndOfJob` would then lose its report.
            "S3UploadMode": "Continuous",
        },
    }


def _cluster_config(instance_type: str) -> Any:
    return {"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": _VOLUME_GIB}
