"""Keep the code of a function's published version, and never reuse a version's number.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html

Moto 5.2.5 shares the code between a function and its versions, so that a new image changes the
versions too. It also reuses the number of a deleted version.
"""

from __future__ import annotations

import copy
from typing import Any

from moto.awslambda.models import LambdaStorage

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "function_versions"


def apply(patcher: Patcher, services: Services) -> None:
    """Copy the code into a version, and count versions by function."""

    def publish_version(storage: Any, name_or_arn: str, description: str = "") -> Any:
        latest = storage.get_function_by_name_or_arn_forbid_qualifier(name_or_arn)
        versions = storage._functions[latest.function_name]["versions"]
        if versions and not latest.code_or_config_updated:
            return versions[-1]
        latest.code_or_config_updated = False
        latest.versions_published = getattr(latest, "versions_published", 0) + 1
        version = copy.copy(latest)
        version.code = dict(latest.code)
        version.description = description or latest.description
        version.set_version(latest.versions_published)
        versions.append(version)
        storage._arns[version.function_arn] = version
        return version

    patcher.replace(LambdaStorage, "publish_version", publish_version)
