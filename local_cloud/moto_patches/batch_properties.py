"""Create Batch resources from CloudFormation with the properties that AWS accepts.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Batch.html

Moto 5.2.5 requires a service role (AWS has a service-linked one) and upper case, and knows fewer
instance types. It ignores a job definition's timeout, accepts any retry rules, drops a queue's time
limits, and has no attribute for `Fn::GetAtt`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.batch.models import BatchBackend, ComputeEnvironment, JobDefinition, JobQueue
from moto.batch.utils import lowercase_first_key
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends

from local_cloud.moto_patches.patching import Patcher
from local_cloud.retry_rules import check_retry_rules
from local_cloud.services import Services

NAME = "batch_properties"

_SERVICE_ROLE_NAME = "AWSServiceRoleForBatch"


def apply(patcher: Patcher, services: Services) -> None:
    """Add and rename properties that moto reads differently."""
    _prepare_properties(patcher, ComputeEnvironment, _complete_environment)
    _prepare_properties(patcher, JobDefinition, _complete_definition)
    _store_time_limits(patcher)
    patcher.replace(BatchBackend, "_validate_compute_resources", _accept_any_resources)
    patcher.replace(BatchBackend, "find_min_instances_to_meet_vcpus", staticmethod(_start_no_hosts))
    for model in (ComputeEnvironment, JobQueue, JobDefinition):
        patcher.add(model, "has_cfn_attr", staticmethod(lambda name: name.endswith("Arn")))
        patcher.add(model, "get_cfn_attribute", lambda resource, _name: resource.arn)


def _prepare_properties(
    patcher: Patcher, model: Any, prepare: Callable[[dict[str, Any], str], None]
) -> None:
    """Change a resource's properties before moto reads them."""

    def create(
        cls: type[Any], /, name: str, json: Any, account: str, region: str, **rest: Any
    ) -> Any:
        prepare(json["Properties"], account)
        return original(cls, name, json, account, region, **rest)

    original = patcher.replace(model, "create_from_cloudformation_json", classmethod(create))


def _store_time_limits(patcher: Patcher) -> None:
    """Store the time limits of queues, which moto drops."""

    def create(cls: type[Any], /, name: str, json: Any, *rest: Any, **options: Any) -> Any:
        queue = original(cls, name, json, *rest, **options)
        queue.job_state_time_limit_actions = json["Properties"].get("JobStateTimeLimitActions", [])
        return queue

    original = patcher.replace(JobQueue, "create_from_cloudformation_json", classmethod(create))


def _complete_environment(properties: dict[str, Any], account: str) -> None:
    properties["Type"] = properties["Type"].upper()
    properties.setdefault("ServiceRole", _get_service_role(account))


def _complete_definition(properties: dict[str, Any], _account: str) -> None:
    strategy = properties.setdefault("RetryStrategy", {"Attempts": 1})
    check_retry_rules(lowercase_first_key(strategy).get("evaluateOnExit", []))
    if "Timeout" in properties:
        seconds = properties["Timeout"]["AttemptDurationSeconds"]
        properties["timeout"] = {"attemptDurationSeconds": seconds}


def _get_service_role(account: str) -> str:
    """Return the ARN of the service-linked role that AWS creates for Batch."""
    iam = iam_backends[account]["aws"]
    try:
        return str(iam.get_role(_SERVICE_ROLE_NAME).arn)
    except NotFoundException:
        role = iam.create_role(
            role_name=_SERVICE_ROLE_NAME,
            assume_role_policy_document="{}",
            path="/aws-service-role/batch.amazonaws.com/",
            permissions_boundary=None,
            description="",
            tags=[],
            max_session_duration="3600",
        )
        return str(role.arn)


def _start_no_hosts(_instance_types: list[str], _vcpus: float) -> list[str]:
    """Start no instance: jobs are processes of this machine."""
    return []


def _accept_any_resources(_backend: Any, _resources: dict[str, Any]) -> None:
    """Accept any instance type, as cfn-lint has checked it: moto's list predates the GPUs."""
