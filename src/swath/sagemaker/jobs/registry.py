"""SageMaker's registry of models: a group a model, a version a package, and who approved it."""

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
RESPONSE_TYPES = ["application/geo+json", "application/json"]
_DIGEST = "swath-digest"
ARCHIVE = ".tar.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a model in the registry."""

    arn: str
    approval: str
    digest: str


def register(package: str, group: str, deployment: Deployment) -> Version:
    """Make a package the next version of a group, waiting for approval.

    A package that the group has already, by its digest, is not registered again.

    Args:
        package: the S3 URI of a `model.tar.gz`.
        group: made if there is none of that name.
        deployment: whose image serves the model.

    Raises:
        InputError: the package does not lie on S3 as SageMaker wants it.
        PackageError: there is no package, or it cannot be used.
    """
    if not storage.is_s3(package) or not package.endswith(ARCHIVE):
        raise InputError(
            f"{package} is no S3 URI of a {ARCHIVE} file; `swath model publish --to` makes one"
        )
    info = describe_package(package)
    client = boto3.client("sagemaker")
    _ensure_group(client, group)
    if known := next((one for one in versions(group) if one.digest == info.digest), None):
        return known
    made = client.create_model_package(
        ModelPackageGroupName=group,
        ModelPackageDescription=info.description.name,
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={_DIGEST: info.digest},
        InferenceSpecification={
            "Containers": [{"Image": deployment.serving_image, "ModelDataUrl": package}],
            "SupportedContentTypes": CONTENT_TYPES,
            "SupportedResponseMIMETypes": RESPONSE_TYPES,
        },
    )
    return _version(client, made["ModelPackageArn"])


def versions(group: str) -> list[Version]:
    """Every version of a group, the newest first.

    Raises:
        InputError: there is no such group.
    """
    client = boto3.client("sagemaker")
    pages = client.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
    )
    try:
        arns = [one["ModelPackageArn"] for page in pages for one in page["ModelPackageSummaryList"]]
    except ClientError as error:
        raise _explained(error, group) from error
    return [_version(client, arn) for arn in arns]


def decide(version: str, approval: Approval, *, because: str) -> Version:
    """Approve a version, or reject it.

    Args:
        version: its ARN.
        approval: what is decided.
        because: kept with the decision.

    Raises:
        InputError: there is no such version.
    """
    client = boto3.client("sagemaker")
    try:
        client.update_model_package(
            ModelPackageArn=version, ModelApprovalStatus=approval, ApprovalDescription=because
        )
    except ClientError as error:
        raise _explained(error, version) from error
    return _version(client, version)


def _ensure_group(client: SageMakerClient, group: str) -> None:
    try:
        client.create_model_package_group(ModelPackageGroupName=group)
    except ClientError as error:
        if "already exists" not in str(error).lower():
            raise


def _version(client: SageMakerClient, arn: str) -> Version:
    found: Any = client.describe_model_package(ModelPackageName=arn)
    return Version(
        arn=arn,
        approval=found["ModelApprovalStatus"],
        digest=found.get("CustomerMetadataProperties", {}).get(_DIGEST, ""),
    )


def _explained(error: ClientError, name: str) -> Exception:
    """An error of SageMaker's: the user's where the name is wrong."""
    if error.response["Error"]["Code"] in {"ValidationException", "ResourceNotFound"}:
        return InputError(
            f"{name} is not in the registry of this account and region: {error}; check the name "
            "and AWS_REGION. `swath model versions GROUP` shows the ARNs of versions"
        )
    return error
