"""Register packages in SageMaker's model registry, and approve or reject them.

Each model has a group, and each package is a version of a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.exceptions import ClientError

from swath import storage
from swath.errors import InputError
from swath.models.package import describe_package

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

    from swath.stack import Deployment

Approval = Literal["Approved", "Rejected", "PendingManualApproval"]

CONTENT_TYPES = ["image/tiff", "image/png", "image/jpeg", "application/x-npy"]
"""Media types of the images that a model accepts."""
RESPONSE_TYPES = ["application/geo+json", "application/json"]
"""Media types of a model's responses."""
_DIGEST_PROPERTY = "swath-digest"
"""Name of the version's property that holds the package's digest."""
ARCHIVE_SUFFIX = ".tar.gz"
"""Suffix of the packages that SageMaker accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of a model in the registry."""

    arn: str
    approval: str
    """Approval status, one of `Approval`."""
    digest: str
    """Digest of the package; empty for a version that swath did not register."""


def register_model(package: str, group: str, deployment: Deployment) -> ModelVersion:
    """Register a package as the next version of a group, with pending approval.

    If the group already has a version with the package's digest, that version is returned.

    Args:
        package: S3 URI of a `model.tar.gz`.
        group: Name of the group, which is created if necessary.
        deployment: Stack whose image serves the model.

    Raises:
        InputError: `package` is not the S3 URI of a `.tar.gz` file.
        PackageError: There is no package, or it cannot be used.
    """
    if not storage.is_s3(package) or not package.endswith(ARCHIVE_SUFFIX):
        raise InputError(
            f"{package} is not the S3 URI of a {ARCHIVE_SUFFIX} file; `swath model publish --to` "
            "writes one"
        )
    info = describe_package(package)
    client = boto3.client("sagemaker")
    _ensure_group(client, group)
    existing = (one for one in list_versions(group) if one.digest == info.digest)
    if version := next(existing, None):
        return version
    created = client.create_model_package(
        ModelPackageGroupName=group,
        ModelPackageDescription=info.description.name,
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={_DIGEST_PROPERTY: info.digest},
        InferenceSpecification={
            "Containers": [{"Image": deployment.serving_image, "ModelDataUrl": package}],
            "SupportedContentTypes": CONTENT_TYPES,
            "SupportedResponseMIMETypes": RESPONSE_TYPES,
        },
    )
    return _version(client, created["ModelPackageArn"])


def list_versions(group: str) -> list[ModelVersion]:
    """Return all versions of a group, newest first.

    Args:
        group: Name of the group.

    Raises:
        InputError: There is no such group.
    """
    client = boto3.client("sagemaker")
    pages = client.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
    )
    try:
        arns = [one["ModelPackageArn"] for page in pages for one in page["ModelPackageSummaryList"]]
    except ClientError as error:
        raise _translate_error(error, group) from error
    return [_version(client, arn) for arn in arns]


def set_approval(version: str, approval: Approval, *, reason: str) -> ModelVersion:
    """Set the approval status of a version.

    Args:
        version: ARN of the version.
        approval: New approval status.
        reason: Reason of the decision, which is stored with it.

    Raises:
        InputError: There is no such version.
    """
    client = boto3.client("sagemaker")
    try:
        client.update_model_package(
            ModelPackageArn=version, ModelApprovalStatus=approval, ApprovalDescription=reason
        )
    except ClientError as error:
        raise _translate_error(error, version) from error
    return _version(client, version)


def _ensure_group(client: SageMakerClient, group: str) -> None:
    try:
        client.create_model_package_group(ModelPackageGroupName=group)
    except ClientError as error:
        if "already exists" not in str(error).lower():
            raise


def _version(client: SageMakerClient, arn: str) -> ModelVersion:
    described: Any = client.describe_model_package(ModelPackageName=arn)
    return ModelVersion(
        arn=arn,
        approval=described["ModelApprovalStatus"],
        digest=described.get("CustomerMetadataProperties", {}).get(_DIGEST_PROPERTY, ""),
    )


def _translate_error(error: ClientError, name: str) -> Exception:
    """Return an InputError if SageMaker rejected or does not know the name, else the error."""
    if error.response["Error"]["Code"] in {"ValidationException", "ResourceNotFound"}:
        return InputError(
            f"{name} is not in the registry of this account and region: {error}; check the name "
            "and AWS_REGION. `swath model versions GROUP` shows the ARNs of versions"
        )
    return error
