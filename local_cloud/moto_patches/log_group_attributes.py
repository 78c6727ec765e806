"""A template's reference to a log group's ARN covers the group's streams.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-loggroup.html#aws-resource-logs-loggroup-return-values
Moto 5.2.5 leaves out the `:*` at its end, so that no permission on it would let anybody write.
"""

from __future__ import annotations

from typing import Any

from moto.logs.models import LogGroup

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "log_group_attributes"


def apply(patcher: Patcher, services: Services) -> None:
    """End the ARN as CloudFormation does."""

    def get_cfn_attribute(group: Any, name: str) -> Any:
        value = original(group, name)
        return f"{value}:*" if name == "Arn" else value

    original = patcher.replace(LogGroup, "get_cfn_attribute", get_cfn_attribute)
