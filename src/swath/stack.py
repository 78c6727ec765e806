"""Read the outputs of a deployed stack, for launching jobs with its roles, images and buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import boto3
from botocore.exceptions import ClientError

from swath import storage
from swath.errors import InputError
from swath.messages.deployed_settings import DeployedSettings
from swath.storage.encoding import parse_json

_DEPLOY_AGAIN = "deploy the stack again"
_ENABLE_ENDPOINTS = "name an endpoint in `endpoints` in cdk.json and run `cdk deploy`"
_ENABLE_TRAINING = "set `training` to true in cdk.json and run `cdk deploy`"
_ADD_BUCKET = "add its bucket to `data_buckets` in cdk.json and run `cdk deploy`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Outputs of a deployed stack."""

    stack: str
    """Name of the stack."""
    region: str
    outputs: dict[str, str]
    """Values of the stack's outputs, by name."""

    @classmethod
    def from_stack(cls, stack: str) -> Self:
        """Read the outputs of a stack from CloudFormation.

        Args:
            stack: Name of the stack.

        Raises:
            InputError: There is no stack of that name in this account and region.
        """
        client = boto3.client("cloudformation")
        try:
            (stack_description,) = client.describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise InputError(
                f"there is no stack {stack!r} in {client.meta.region_name}; give the name of the "
                "deployed stack, and set AWS_REGION to its region"
            ) from None
        outputs = {
            output["OutputKey"]: output["OutputValue"]
            for output in stack_description.get("Outputs", [])
            if "OutputKey" in output and "OutputValue" in output
        }
        return cls(stack=stack, region=client.meta.region_name, outputs=outputs)

    @property
    def settings(self) -> DeployedSettings:
        """Settings of the deployment; the defaults for a stack of an earlier version of swath."""
        text = self.outputs.get("Settings")
        return DeployedSettings.from_json(parse_json(text)) if text else DeployedSettings()

    @property
    def catalog_uri(self) -> str:
        """S3 URI of the catalog of deployed models."""
        return self._output("ModelCatalogUri", _DEPLOY_AGAIN)

    @property
    def scenes_bucket(self) -> str:
        """Name of the bucket that scenes are dropped into."""
        return self._output("ScenesBucket", _DEPLOY_AGAIN)

    @property
    def work_uri(self) -> str:
        """S3 URI of the bucket of the runs' plans and shards."""
        return f"s3://{self._output('WorkBucket', _DEPLOY_AGAIN)}"

    @property
    def results_uri(self) -> str:
        """S3 URI of the bucket of results."""
        return f"s3://{self._output('ResultsBucket', _DEPLOY_AGAIN)}"

    @property
    def state_machine_arn(self) -> str:
        """ARN of the state machine of runs."""
        return self._output("StateMachineArn", _DEPLOY_AGAIN)

    @property
    def jobs_uri(self) -> str:
        """S3 URI of the jobs' inputs and outputs, which are kept, unlike the work of runs."""
        return f"{self.results_uri}/training"

    @property
    def evaluations_uri(self) -> str:
        """S3 URI to which evaluation jobs write their reports."""
        return f"{self.results_uri}/evaluations"

    @property
    def readable_prefixes(self) -> tuple[str, ...]:
        """S3 prefixes that the roles of all jobs may read, each with a slash at its end."""
        scenes = self.scenes_bucket
        more = [name for name in self.outputs.get("DataBuckets", "").split(",") if name]
        return (*(f"s3://{bucket}/" for bucket in (scenes, *more)), f"{self.jobs_uri}/")

    def check_readable(self, uri: str, *, also_readable: Sequence[str] = ()) -> None:
        """Check that the stack's roles may read the objects below an S3 URI.

        Args:
            uri: S3 URI to check.
            also_readable: Further S3 prefixes that the role in question may read.

        Raises:
            InputError: The roles may not read there; the error names the prefixes they may read.
        """
        allowed = (*self.readable_prefixes, *also_readable)
        if not any(_is_below(uri, prefix) for prefix in allowed):
            raise InputError(
                f"{uri}: the jobs of the stack {self.stack!r} may not read it; they may read "
                f"below {', '.join(allowed)}. Copy the data there, or {_ADD_BUCKET}"
            )

    def check_transforms_writable(self, uri: str) -> None:
        """Check that transform jobs may write below an S3 URI.

        Raises:
            InputError: The jobs may not write there; the error names the prefix where they may.
        """
        allowed = f"{self.results_uri}/transforms/"
        if not _is_below(uri, allowed):
            raise InputError(
                f"{uri}: transform jobs of the stack {self.stack!r} may not write there; write "
                f"below {allowed}"
            )

    @property
    def packages_uri(self) -> str:
        """S3 URI of the bucket of deployed model packages, with a slash at its end."""
        bucket, _ = storage.split_s3(self.catalog_uri)
        return f"s3://{bucket}/"

    @property
    def training_role(self) -> str:
        """ARN of the role of training jobs."""
        return self._output("TrainingRoleArn", _ENABLE_TRAINING)

    @property
    def training_image(self) -> str:
        """Address of the container image for training."""
        return self._output("TrainingImageUri", _ENABLE_TRAINING)

    @property
    def evaluation_role(self) -> str:
        """ARN of the role of evaluation jobs."""
        return self._output("EvaluationRoleArn", _ENABLE_TRAINING)

    @property
    def evaluation_image(self) -> str:
        """Address of the container image for evaluation."""
        return self._output("EvaluationImageUri", _ENABLE_TRAINING)

    @property
    def serving_image(self) -> str:
        """Address of the container image of the model server, for CPUs."""
        return self._output("ServingImageUri", _ENABLE_ENDPOINTS)

    @property
    def serving_role(self) -> str:
        """ARN of the role of batch transforms."""
        return self._output("ServingRoleArn", _ENABLE_ENDPOINTS)

    def _output(self, name: str, remedy: str) -> str:
        if name not in self.outputs:
            raise InputError(f"the stack {self.stack!r} has no output {name}; {remedy}")
        return self.outputs[name]


def _is_below(uri: str, prefix: str) -> bool:
    return f"{uri.rstrip('/')}/".startswith(prefix)
