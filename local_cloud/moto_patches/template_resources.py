"""Create the CloudFormation resource types that moto lacks.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/introduction.html

Moto 5.2.5 skips an unknown type with a warning; references to it then fail with an unrelated error.
`resources` supplies these types; for any other type, a deployment fails and names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError

from local_cloud.moto_patches.patching import Patcher
from local_cloud.resources import FACTORIES, MotoResource, ResourceFactory, ResourceRequest
from local_cloud.services import Services

NAME = "template_resources"


def apply(patcher: Patcher, services: Services) -> None:
    """Use the factories of `resources` first; name the resource whose creation fails."""

    def resource_class_from_type(resource_type: str) -> Any:
        if resource_type in FACTORIES:
            return _ResourceClass(FACTORIES[resource_type], services)
        resource_class = (
            None if resource_type.startswith("Custom::") else original_class(resource_type)
        )
        if resource_class is None and resource_type not in parsing.NULL_MODELS:
            raise ValidationError(
                message=f"neither moto nor local_cloud/resources supports the type {resource_type}"
            )
        return resource_class

    def parse_and_create_resource(
        logical_id: str, resource_json: Any, resources_map: Any, account_id: str, region_name: str
    ) -> Any:
        try:
            return original_create(
                logical_id, resource_json, resources_map, account_id, region_name
            )
        except ValidationError:
            raise
        except Exception as error:
            resource = f"{logical_id} ({resource_json['Type']})"
            message = f"{resource} could not be created: {type(error).__name__}: {error}"
            raise ValidationError(message=message) from error

    original_class = patcher.replace(parsing, "resource_class_from_type", resource_class_from_type)
    original_create = patcher.replace(
        parsing, "parse_and_create_resource", parse_and_create_resource
    )


@dataclass(frozen=True, slots=True)
class _ResourceClass:
    """Stand-in for moto's class of a resource, which creates one and knows its attributes."""

    make: ResourceFactory
    services: Services

    def create_from_cloudformation_json(
        self,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **options: Any,
    ) -> MotoResource:
        request = ResourceRequest(
            name=resource_name,
            logical_id=options["LogicalId"],
            properties=cloudformation_json["Properties"],
            account=account_id,
            region=region_name,
            services=self.services,
        )
        return MotoResource(self.make(request))

    @staticmethod
    def has_cfn_attr(_attribute: str) -> bool:
        return True
