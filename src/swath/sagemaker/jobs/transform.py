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
from swath.sagemaker.jobs.registry import ARCHIVE

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import TransformInstanceTypeType
    from mypy_boto3_sagemaker.type_defs import TagTypeDef

    from swath.stack import Deployment

Accept = Literal["application/geo+json", "application/json"]

_AT_ONCE = 100 // MAX_IMAGE_MB
"""Number of images that an instance processes at once; they may be 100 MB together.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html"""
_NO_GPU = (
    "batch transform's GPU hosts have drivers for CUDA 12 at most, and swath computes with CUDA "
    "13. Drop scenes into the bucket, or use the asynchronous endpoint, to compute on a GPU"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformRequest:
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
class TransformJob:
    """A transform job that was started."""

    name: str
    """Name of the transform job."""
    chips: Chips
    """Images that the job processes, and objects that it skips."""


def transform(request: TransformRequest, deployment: Deployment) -> TransformJob:
    """Start a batch transform job, and create the SageMaker model that it uses if necessary.

    Raises:
        InputError: An address is not on S3, the stack's role may not use it, there is no image, or
            the host has an accelerator.
        PackageError: There is no package, or it cannot be used.
    """
    _check(request, deployment)
    chips = list_chips(request.images)
    info = describe_package(request.package)
    tags: list[TagTypeDef] = [{"Key": "swath:digest", "Value": info.digest}]
    name = unique_name(info.description.name)
    manifest = storage.join(deployment.jobs_uri, "manifests", f"{name}.json")
    storage.write_json(manifest, chips.manifest)
    boto3.client("sagemaker").create_transform_job(
        TransformJobName=name,
        ModelName=_model(request.package, info.description.name, tags, deployment),
        BatchStrategy="SingleRecord",
        MaxConcurrentTransforms=_AT_ONCE,
        MaxPayloadInMB=MAX_IMAGE_MB,
        ModelClientConfig={"InvocationsMaxRetries": 3, "InvocationsTimeoutInSeconds": 600},
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": manifest}},
            # The container detects the type of each image by its first bytes.
            "ContentType": "application/octet-stream",
            "SplitType": "None",
        },
        TransformOutput={"S3OutputPath": request.out, "Accept": request.accept},
        TransformResources={
            "InstanceType": request.instance_type,
            "InstanceCount": request.instances,
        },
        Tags=tags,
    )
    return TransformJob(name=name, chips=chips)


def _check(request: TransformRequest, deployment: Deployment) -> None:
    for uri in (request.package, request.images, request.out):
        if not storage.is_s3(uri):
            raise InputError(f"{uri} is no S3 URI; a job on SageMaker reads and writes S3 only")
    if not request.package.endswith(ARCHIVE):
        raise InputError(f"{request.package} is no {ARCHIVE} file, which SageMaker asks for")
    check_has_no_accelerator(request.instance_type, because=_NO_GPU)
    deployment.check_readable(request.package, also_readable=[deployment.packages_uri])
    deployment.check_readable(request.images)
    deployment.check_transforms_writable(request.out)


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
