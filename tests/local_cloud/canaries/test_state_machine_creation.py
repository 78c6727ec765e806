from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import state_machine_creation
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import ROLE, Aws, applied

DEFINITION = {"StartAt": "Only", "States": {"Only": {"Type": "${Kind}", "End": True}}}
MACHINE = {
    "Type": "AWS::StepFunctions::StateMachine",
    "Properties": {
        "RoleArn": ROLE,
        "DefinitionString": json.dumps(DEFINITION),
        "DefinitionSubstitutions": {"Kind": "Pass"},
    },
}


def test_canary_state_machine_creation(services: Services, aws: Aws):
    vanilla = aws.stack(Machine=MACHINE)["Machine"]
    with pytest.raises(ClientError, match="Does Not Exist"):
        aws.execute(vanilla)

    with applied(services, state_machine_creation):
        done = aws.execute(aws.stack(Machine=MACHINE)["Machine"], {"x": 1})

    assert done["status"] == "SUCCEEDED"
    assert json.loads(done["output"]) == {"x": 1}
