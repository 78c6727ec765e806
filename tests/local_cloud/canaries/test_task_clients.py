from __future__ import annotations

from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.credentials import (
    StateCredentials,
)
from moto.stepfunctions.parser.asl.utils import boto_client

from local_cloud.clients import REGION
from local_cloud.moto_patches import task_clients
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import ROLE, applied


def test_canary_task_clients(services: Services):
    made = [boto_client.boto_client_for(REGION, "sqs") for _ in range(2)]
    assert made[0] is not made[1]

    with applied(services, task_clients):
        credentials = StateCredentials(ROLE)
        shared = [boto_client.boto_client_for(REGION, "sqs", credentials) for _ in range(2)]
        assert shared[0] is shared[1]
        assert lambda_eval_utils.boto_client_for is boto_client.boto_client_for
    assert lambda_eval_utils.boto_client_for(REGION, "sqs") is not shared[0]


def test_a_task_acts_as_the_role_of_its_state_machine(services: Services):
    with applied(services, task_clients):
        sts = boto_client.boto_client_for(REGION, "sts", StateCredentials(ROLE))

    assert sts.get_caller_identity()["Arn"].endswith(":assumed-role/any/states")
