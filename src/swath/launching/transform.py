"""Batch transform: every image below an S3 prefix through a model, each with its answer beside it.

For images as an endpoint takes them. Scenes are better dropped into the bucket: they are cut into
shards, and their detections merged and loaded.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import boto3

from swath import storage
from swath.errors import InputError
from swath.launching.registry import ARCHIVE
from swath.package import describe_package

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import TransformInstanceTypeType
    from mypy_boto3_sagemaker.type_defs import TagTypeDef

    from swath.launching.deployment import Deployment

Accept = Literal["application/geo+json", "application/json"]

MAX_PAYLOAD_MB = 25
"""Of one image. What is under way on an instance may be 100 MB together.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html"""
_AT_ONCE = 100 // MAX_PAYLOAD_MB
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformRequest:
    """Which images through which model."""

    package: str
    """The S3 URI of a `model.tar.gz`."""
    images: str
    """An S3 prefix; everything below it is taken for an image."""
    out: str
    """An S3 prefix; the answer to `a.tif` is `a.tif.out` below it."""
    instance_type: TransformInstanceTypeType
    instances: int = 1
    accept: Accept = "application/geo+json"


def transform(request: TransformRequest, deployment: Deployment) -> str:
    """Start a batch transform job, and the SageMaker model that it is of.

    Returns:
        The job's name.

    Raises:
        InputError: an address is none on S3.
        PackageError: there is no package, or it cannot be used.
    """
    for uri in (request.package, request.images, request.out):
        if not storage.is_s3(uri):
            raise InputError(f"{uri} is no S3 URI; a job on SageMaker reads and writes S3 only")
    if not request.package.endswith(ARCHIVE):
        raise InputError(f"{request.package} is no {ARCHIVE} file, which SageMaker asks for")
    description, digest = describe_package(request.package)
    client = boto3.client("sagemaker")
    # Names are taken for good, so that each job has a model of its own.
    name = f"{_NOT_IN_NAMES.sub('-', description.name)[:30].strip('-')}-{uuid.uuid4().hex[:12]}"
    tags: list[TagTypeDef] = [{"Key": "swath:digest", "Value": digest}]
    client.create_model(
        ModelName=name,
        ExecutionRoleArn=deployment.serving_role,
        PrimaryContainer={
            "Image": deployment.serving_image,
            # Not `ModelDataSource`, which batch transforms do not know:
            # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
            "ModelDataUrl": request.package,
        },
        Tags=tags,
    )
    client.create_transform_job(
        TransformJobName=name,
        ModelName=name,
        BatchStrategy="SingleRecord",
        MaxConcurrentTransforms=_AT_ONCE,
        MaxPayloadInMB=MAX_PAYLOAD_MB,
        ModelClientConfig={"InvocationsMaxRetries": 3, "InvocationsTimeoutInSeconds": 600},
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": request.images}},
            # What type each is, the container sees by its first bytes.
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
    return name
