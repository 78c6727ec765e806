from __future__ import annotations

from pathlib import Path
from typing import Any

from local_cloud.moto_patches import function_properties
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied

ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
}


def test_canary_function_properties(services: Services, aws: Aws, tmp_path: Path):
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"ImageUri": aws.image(tmp_path, {"Dockerfile": 'CMD ["a.handler"]'})},
            "PackageType": "Image",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "ImageConfig": {"Command": ["b.handler"]},
        },
    }

    assert command(aws, function) == []
    with applied(services, function_properties):
        assert command(aws, function) == ["b.handler"]


def command(aws: Aws, function: dict[str, Any]) -> list[str]:
    """Return what the image of a stack's function is started with."""
    name = aws.stack(Role=ROLE, Function=function)["Function"]
    configuration = aws.client("lambda").get_function_configuration(FunctionName=name)
    image = configuration.get("ImageConfigResponse", {}).get("ImageConfig", {})
    command: list[str] = image.get("Command", [])
    return command
