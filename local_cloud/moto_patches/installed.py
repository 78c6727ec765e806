"""List all patches of moto, and apply them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from moto.core.config import default_user_config

from local_cloud.moto_patches import (
    access_control,
    asynchronous_inference,
    batch_job_lists,
    batch_properties,
    bucket_owners,
    bucket_properties,
    data_api,
    distributed_map,
    endpoint_configurations,
    endpoint_invocation,
    event_delivery,
    execution_events,
    function_invocation,
    function_properties,
    function_versions,
    job_processes,
    lambda_task_errors,
    log_group_attributes,
    network_dependencies,
    object_events,
    redrive,
    sagemaker_jobs,
    service_task_casing,
    stack_operations,
    state_machine_creation,
    state_map_runs,
    state_waits,
    task_callbacks,
    task_clients,
    template_resources,
    topic_delivery,
)
from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

PATCHES: tuple[ModuleType, ...] = (
    access_control,
    asynchronous_inference,
    batch_job_lists,
    batch_properties,
    bucket_owners,
    bucket_properties,
    data_api,
    distributed_map,
    endpoint_configurations,
    endpoint_invocation,
    event_delivery,
    execution_events,
    function_invocation,
    function_properties,
    function_versions,
    job_processes,
    lambda_task_errors,
    log_group_attributes,
    network_dependencies,
    object_events,
    redrive,
    sagemaker_jobs,
    service_task_casing,
    stack_operations,
    state_machine_creation,
    state_map_runs,
    state_waits,
    task_callbacks,
    task_clients,
    template_resources,
    topic_delivery,
)

# Settings for features that moto itself provides.
SETTINGS: Any = {
    "batch": {"use_docker": False},
    "lambda": {"use_docker": False},
    "stepfunctions": {"execute_state_machine": True},
}


def install(services: Services) -> Patcher:
    """Patch moto in this process; the returned patcher can undo the patches."""
    default_user_config.update(SETTINGS)
    patcher = Patcher()
    for patch in PATCHES:
        patch.apply(patcher, services)
    return patcher
