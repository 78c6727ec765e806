"""Start functions from CloudFormation with their template's command and log group.

AWS:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-imageconfig.html

Moto 5.2.5 reads `PackageType` and `ImageConfig` from requests to Lambda, but not from templates. It
does not support `LoggingConfig`, and ignores a template's `TracingConfig`.
"""

from __future__ import annotations

from typing import Any

from moto.awslambda.models import ImageConfig, LambdaFunction

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "function_properties"


def apply(patcher: Patcher, services: Services) -> None:
    """Read these properties when a function is created or updated."""

    def create(
        cls: type[Any], /, name: str, json: Any, account: str, region: str, **rest: Any
    ) -> Any:
        return _configure(make(cls, name, json, account, region, **rest), json)

    def change(
        cls: type[Any], /, function: Any, name: str, json: Any, account: str, region: str
    ) -> Any:
        return _configure(update(cls, function, name, json, account, region), json)

    make = patcher.replace(LambdaFunction, "create_from_cloudformation_json", classmethod(create))
    update = patcher.replace(LambdaFunction, "update_from_cloudformation_json", classmethod(change))


def _configure(function: Any, json: Any) -> Any:
    properties = json["Properties"]
    function.package_type = properties.get("PackageType", "Zip")
    function.image_config = ImageConfig(properties.get("ImageConfig", {}))
    function.tracing_config = properties.get("TracingConfig", {"Mode": "PassThrough"})
    function.log_group = properties.get("LoggingConfig", {}).get("LogGroup")
    return function
