"""Execute state machines from a CloudFormation template.

AWS:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html

Moto 5.2.5 creates them in its backend for mocks, which runs nothing, even if it is set to execute
state machines. It also leaves definition substitutions in the text.
"""

from __future__ import annotations

from typing import Any

from moto.stepfunctions import models
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from local_cloud.moto_patches.patching import Patcher
from local_cloud.permissions.service_permissions import require_for_state_machine
from local_cloud.resources.state_machines import fill_definition
from local_cloud.services import Services

NAME = "state_machine_creation"


def apply(patcher: Patcher, services: Services) -> None:
    """Create state machines in the backend that executes them."""

    def create(
        cls: type[Any],
        /,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **options: Any,
    ) -> Any:
        properties = cloudformation_json["Properties"]
        properties["DefinitionString"] = fill_definition(properties)
        require_for_state_machine(
            services.access,
            properties["RoleArn"],
            definition=properties["DefinitionString"],
            logged="LoggingConfiguration" in properties,
            traced=properties.get("TracingConfiguration", {}).get("Enabled", False),
        )
        return original(cls, resource_name, cloudformation_json, account_id, region_name, **options)

    patcher.replace(models, "stepfunctions_backends", stepfunctions_parser_backends)
    original = patcher.replace(
        models.StateMachine, "create_from_cloudformation_json", classmethod(create)
    )
