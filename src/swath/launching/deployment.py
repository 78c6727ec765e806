"""What a deployed stack tells of itself to those who launch jobs beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import boto3
from botocore.exceptions import ClientError

from swath.errors import InputError

_ENABLE_ENDPOINTS = "name an endpoint in `endpoints` in cdk.json and run `cdk deploy`"
_ENABLE = "set `training` to true in cdk.json and run `cdk deploy`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The outputs of a stack."""

    stack: str
    region: str
    outputs: dict[str, str]

    @classmethod
    def of(cls, stack: str) -> Self:
        """Ask CloudFormation.

        Raises:
            InputError: there is no stack of that name in this account and region.
        """
        client = boto3.client("cloudformation")
        try:
            (found,) = client.describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise InputError(
                f"there is no stack {stack!r} in {client.meta.region_name}; name the one that "
                "`cdk deploy` made, and its region by AWS_REGION"
            ) from None
        outputs = {
            one["OutputKey"]: one["OutputValue"]
            for one in found.get("Outputs", [])
            if "OutputKey" in one and "OutputValue" in one
        }
        return cls(stack=stack, region=client.meta.region_name, outputs=outputs)

    @property
    def jobs_uri(self) -> str:
        """Where jobs find their input and leave what they make; kept, unlike the work of runs."""
        return f"s3://{self._output('ResultsBucket', 'deploy it anew')}/training"

    @property
    def training_role(self) -> str:
        """The ARN of the role that jobs run as: it reads scenes and what is below `jobs_uri`."""
        return self._output("TrainingRoleArn", _ENABLE)

    @property
    def training_image(self) -> str:
        """The address of the image that trains."""
        return self._output("TrainingImageUri", _ENABLE)

    @property
    def serving_image(self) -> str:
        """The address of the image that serves."""
        return self._output("ServingImageUri", _ENABLE_ENDPOINTS)

    @property
    def serving_role(self) -> str:
        """The ARN of the role that batch transforms run as."""
        return self._output("ServingRoleArn", _ENABLE_ENDPOINTS)

    def _output(self, name: str, remedy: str) -> str:
        if name not in self.outputs:
            raise InputError(f"the stack {self.stack!r} has no output {name}; {remedy}")
        return self.outputs[name]
