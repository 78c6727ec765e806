"""Start batch transforms, which run a model on every image below an S3 prefix.

The detections of each image are written to an object of their own. Images are limited as for an
endpoint. Larger scenes are better dropped into the bucket, where swath splits them into shards and
merges and loads their detections.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import boto3
from botocore.exceptions import ClientError

from swath import storage
from swath.errors import InputError
from swath.models.package import describe_package
from swath.sagemaker.jobs.chips import MAX_IMAGE_MB, Chips, list_chips
from swath.sagemaker.jobs.hosts import check_has_no_accelerator
from swath.sagemaker.jobs.names import unique_name, with_suffix
from swath.sagemaker.jobs.registry import ARCHIVE_SUFFIX

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import TransformInstanceTypeType
    from mypy_boto3_sagemaker.type_defs import TagTypeDef

    from swath.stack import Deployment

Accept = Literal["application/geo+json", "application/json"]

_MAX_CONCURRENT_IMAGES = 100 // MAX_IMAGE_MB
"""Number of images that an instance processes at once; they may be 100 MB together.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html"""
_NO_GPU_REASON = (
    "the GPU hosts of batch transform have drivers for CUDA 12, but swath needs CUDA 13. "
    "To compute on a GPU, put scenes into the bucket or use the asynchronous endpoint"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformJob:
    """A batch transform to start."""

    package: str
    """S3 URI of a `model.tar.gz`."""
    images: str
    """S3 prefix of the images."""
    out: str
    """S3 prefix of the results; the result for `a.tif` is `a.tif.out` below it."""
    instance_type: TransformInstanceTypeType
    """Instance type of the hosts, without an accelerator."""
    instances: int = 1
    """Number of hosts."""
    accept: Accept = "application/geo+json"
    """Media type of the results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchedTransform:
    """A transform job that was started."""

    name: str
    """Name of the transform job."""
    chips: Chips
    """Images that the job processes, and objects that it skips."""


def launch_transform(job: TransformJob, deployment: Deployment) -> LaunchedTransform:
    """Start a batch transform job, and create the SageMaker model that it uses if necessary.

    Raises:
        InputError: An address is not on S3, the stack's role may not use it, there is no image, or
            the host has an accelerator.
        PackageError: There is no package, or it cannot be used.
    """
    _check(job, deployment)
    chips = list_chips(job.images)
    info = describe_package(job.package)
    tags: list[TagTypeDef] = [{"Key": "swath:digest", "Value": info.digest}]
    name = unique_name(info.description.name)
    manifest = storage.join(deployment.jobs_uri, "manifests", f"{name}.json")
    storage.write_json(manifest, chips.manifest)
    boto3.client("sagemaker").create_transform_job(
        TransformJobName=name,
        ModelName=_model(job.package, info.description.name, tags, deployment),
        BatchStrategy="SingleRecord",
        MaxConcurrentTransforms=_MAX_CONCURRENT_IMAGES,
        MaxPayloadInMB=MAX_IMAGE_MB,
        ModelClientConfig={"InvocationsMaxRetries": 3, "InvocationsTimeoutInSeconds": 600},
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": manifest}},
            # The container detects the type of each image by its first bytes.
            "ContentType": "application/octet-stream",
            "SplitType": "None",
        },
        TransformOutput={"S3OutputPath": job.out, "Accept": job.accept},
        TransformResources={
            "InstanceType": job.instance_type,
            "InstanceCount": job.instances,
        },
        Tags=tags,
    )
    return LaunchedTransform(name=name, chips=chips)


def _check(job: TransformJob, deployment: Deployment) -> None:
    for uri in (job.package, job.images, job.out):
        if not storage.is_s3(uri):
            raise InputError(f"{uri} is not an S3 URI; a job on SageMaker reads and writes only S3")
    if not job.package.endswith(ARCHIVE_SUFFIX):
        raise InputError(f"{job.package} is not a {ARCHIVE_SUFFIX} file; SageMaker needs one")
    check_has_no_accelerator(job.instance_type, reason=_NO_GPU_REASON)
    deployment.check_readable(job.package, also_readable=[deployment.packages_uri])
    deployment.check_readable(job.images)
    deployment.check_transforms_writable(job.out)


def _model(package: str, name: str, tags: list[TagTypeDef], deployment: Deployment) -> str:
    """Create the SageMaker model of a package if it does not exist, and return its name.

    A model costs nothing and cannot be changed. All jobs with the same package, image, role and
    tags therefore share one model.
    """
    role, image = deployment.serving_role, deployment.serving_image
    identity = "\n".join([package, image, role, *(tag["Value"] for tag in tags)])
    model = with_suffix(name, hashlib.sha256(identity.encode()).hexdigest()[:16])
    try:
        boto3.client("sagemaker").create_model(
            ModelName=model,
            ExecutionRoleArn=role,
            # Batch transforms do not support `ModelDataSource`:
            # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
            PrimaryContainer={"Image": image, "ModelDataUrl": package},
            Tags=tags,
        )
    except ClientError as error:
        if "already exist" not in str(error).lower():
            raise
    return model
