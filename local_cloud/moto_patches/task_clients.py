"""Run tasks concurrently, with the permissions of the state machine's role.

Moto 5.2.5 creates a boto3 client for every task from boto3's default session, which is not
thread-safe and takes about a dozen milliseconds. Occasionally, one of many parallel tasks fails
with `KeyError: 'endpoint_resolver'`. AWS has no such limit.
https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients

Moto calls with its own credentials, while AWS assumes the role of the machine or of the state:
https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html
"""

from __future__ import annotations

import sys
from typing import Any

from moto.stepfunctions.parser.asl.utils import boto_client

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "task_clients"


def apply(patcher: Patcher, services: Services) -> None:
    """Share clients, which are thread-safe once created."""

    def boto_client_for(region: str, service: str, state_credentials: Any) -> Any:
        role = state_credentials.role_arn
        return services.access.client(service, region, role=role, principal="states.amazonaws.com")

    original = patcher.replace(boto_client, "boto_client_for", boto_client_for)
    users = (
        m
        for name, m in sorted(sys.modules.items())
        if name.startswith(boto_client.__package__.rpartition(".")[0])
    )
    for module in users:
        if vars(module).get("boto_client_for") is original:
            patcher.replace(module, "boto_client_for", boto_client_for)
