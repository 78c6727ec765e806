"""Update, roll back and delete stacks as CloudFormation does.

AWS:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html,
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html

Moto 5.2.5 never rolls back. Its update deletes before it creates, without an order, ignores
references to a replaced resource, and fails on most types of this stack. Its deletion ignores what
it cannot delete, such as a non-empty bucket, and ignores termination protection.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Event, Stack
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.models.core import TaggedEC2Resource

from local_cloud.moto_patches.patching import Patcher
from local_cloud.resources.deletions import delete_resource
from local_cloud.resources.model import ChangeRequest
from local_cloud.resources.updates import update_resource
from local_cloud.services import Services
from local_cloud.stacks.operations import ResourceError, StackResource, StackResources

NAME = "stack_operations"


def apply(patcher: Patcher, services: Services) -> None:
    """Replace moto's operations with those of `local_cloud.stacks`."""
    known: WeakKeyDictionary[Any, StackResources] = WeakKeyDictionary()

    def resources(stack: Any) -> StackResources:
        if stack not in known:
            known[stack] = StackResources(_MotoProvider(stack, services))
        return known[stack]

    _replace_operations(patcher, resources)
    patcher.replace(CloudFormationBackend, "delete_stack", _delete_stack)
    patcher.replace(parsing.ResourceMap, "__getitem__", _get_resource)
    patcher.add(
        CloudFormationResponse, "update_termination_protection", _update_termination_protection
    )


def _replace_operations(patcher: Patcher, resources: Callable[[Any], StackResources]) -> None:
    def create(stack: Any) -> None:
        stack.status = "CREATE_IN_PROGRESS"
        _finish_operation(stack, resources(stack).create(_resource_definitions(stack)))
        if stack.status != "CREATE_COMPLETE":
            stack.output_map = parsing.OutputMap(stack.resource_map, {}, stack.stack_id)

    def update(
        stack: Any,
        template: str,
        role_arn: str | None = None,
        parameters: Any = None,
        tags: Any = None,
    ) -> None:
        before = (stack.template, stack.parameters)
        _start_operation(stack, "UPDATE_IN_PROGRESS")
        _set_template(stack, template, parameters)
        definitions = _resource_definitions(stack)
        _finish_operation(
            stack,
            resources(stack).update(definitions, restore=lambda: _set_template(stack, *before)),
        )

    def delete(stack: Any) -> None:
        _start_operation(stack, "DELETE_IN_PROGRESS")
        _finish_operation(stack, resources(stack).delete())

    patcher.replace(Stack, "create_resources", create)
    patcher.replace(Stack, "update", update)
    patcher.replace(Stack, "delete", delete)


def _delete_stack(backend: Any, name: str) -> None:
    for stack in [s for s in backend.stacks.values() if name in {s.name, s.stack_id}]:
        if stack.enable_termination_protection:
            message = f"Stack [{name}] cannot be deleted while TerminationProtection is enabled"
            raise ValidationError(message=message)
        stack.delete()
        if stack.status == "DELETE_COMPLETE":
            backend.deleted_stacks[stack.stack_id] = backend.stacks.pop(stack.stack_id)


def _update_termination_protection(response: Any) -> ActionResult:
    stack = response.cloudformation_backend.get_stack(response._get_param("StackName"))
    stack.enable_termination_protection = response._get_bool_param("EnableTerminationProtection")
    return ActionResult({"StackId": stack.stack_id})


class _MotoProvider:
    """Provider that creates, changes and deletes the resources of one of moto's stacks."""

    def __init__(self, stack: Any, services: Services) -> None:
        self._stack = stack
        self._services = services
        stack.resource_map._resource_json_map = {}

    def resolve(self, definition: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            properties = copy.deepcopy(definition.get("Properties", {}))
            return dict(parsing.clean_json(properties, self._stack.resource_map))
        except Exception as error:
            raise ResourceError(_message(error)) from error

    def create(self, name: str, definition: Mapping[str, Any]) -> Any:
        stack = self._stack
        try:
            created: Any = parsing.parse_and_create_resource(
                name,
                copy.deepcopy(dict(definition)),
                stack.resource_map,
                account_id=stack.account_id,
                region_name=stack.region_name,
            )
        except Exception as error:
            raise ResourceError(_message(error)) from error
        if isinstance(created, TaggedEC2Resource):
            self._tag(name, created)
        return created

    def _tag(self, name: str, created: Any) -> None:
        stack = self._stack
        tags = {
            **stack.resource_map.tags,
            "aws:cloudformation:stack-name": stack.name,
            "aws:cloudformation:stack-id": stack.stack_id,
            "aws:cloudformation:logical-id": name,
        }
        backend = ec2_backends[stack.account_id][stack.region_name]
        backend.create_tags([created.physical_resource_id], tags)

    def update(self, old: StackResource, new: StackResource) -> Any:
        try:
            changed = update_resource(new.kind, self._request(old, new.properties))
        except Exception as error:
            raise ResourceError(_describe_failure(new, "changed", error)) from error
        changed.cf_resource_type, changed.logical_resource_id = new.kind, new.name
        return changed

    def delete(self, resource: StackResource) -> None:
        try:
            delete_resource(resource.kind, self._request(resource, resource.properties))
        except Exception as error:
            raise ResourceError(_describe_failure(resource, "deleted", error)) from error

    def set_reference(self, name: str, resource: StackResource | None) -> None:
        resource_map = self._stack.resource_map
        if resource is None:
            resource_map._parsed_resources.pop(name, None)
            resource_map._resource_json_map.pop(name, None)
        else:
            resource_map._parsed_resources[name] = resource.provided
            resource_map._resource_json_map[name] = resource.definition

    def record_event(self, resource: StackResource, status: str, reason: str = "") -> None:
        self._stack.events.append(
            Event(
                stack_id=self._stack.stack_id,
                stack_name=self._stack.name,
                logical_resource_id=resource.name,
                physical_resource_id=_physical_id(resource),
                resource_type=resource.kind,
                resource_status=status,
                resource_status_reason=reason or None,
                resource_properties=None,
            )
        )

    def _request(self, old: StackResource, properties: Mapping[str, Any]) -> ChangeRequest:
        return ChangeRequest(
            name=_physical_id(old),
            logical_id=old.name,
            properties=properties,
            account=self._stack.account_id,
            region=self._stack.region_name,
            services=self._services,
            old=old.properties,
            resource=old.provided,
        )


def _get_resource(resource_map: Any, name: str) -> Any:
    """Return the resource of a reference; moto itself would create a resource on access."""
    return resource_map._parsed_resources[name]


def _resource_definitions(stack: Any) -> dict[str, Any]:
    conditions = stack.resource_map.lazy_condition_map
    return {
        name: definition
        for name, definition in stack.template_dict["Resources"].items()
        if "Condition" not in definition or conditions[definition["Condition"]]
    }


def _set_template(stack: Any, template: str, parameters: Any) -> None:
    """Set a stack's template, with its parameters, conditions and outputs."""
    stack.template = template
    stack._parse_template()
    stack.parameters = parameters or stack.parameters
    resource_map = stack.resource_map
    resource_map._template = stack.template_dict
    resource_map.input_parameters = stack.parameters
    resource_map.load_mapping()
    resource_map.load_parameters()
    resource_map.load_conditions()
    stack.output_map = stack._create_output_map()


def _start_operation(stack: Any, status: str) -> None:
    stack.status = status
    stack._add_stack_event(status, resource_status_reason="User Initiated")


def _finish_operation(stack: Any, status: str) -> None:
    stack.status = status
    stack._add_stack_event(status)


def _physical_id(resource: StackResource) -> str:
    return str(getattr(resource.provided, "physical_resource_id", "") or "")


def _describe_failure(resource: StackResource, action: str, error: Exception) -> str:
    return f"{resource.name} ({resource.kind}) could not be {action}: {_message(error)}"


def _message(error: Exception) -> str:
    return str(getattr(error, "message", "") or f"{type(error).__name__}: {error}")
