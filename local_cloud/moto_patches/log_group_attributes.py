"""Include the streams of a log group in a template's reference to its ARN.

AWS:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-loggroup.html#aws-resource-logs-loggroup-return-values

Moto 5.2.5 omits the `:*` at its end, so that permissions on the ARN would not allow writing.
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
