from __future__ import annotations

from local_cloud.moto_patches import log_group_attributes
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, new_name


def test_canary_log_group_attributes(services: Services, aws: Aws):
    vanilla = arn(aws)
    with applied(services, log_group_attributes):
        patched = arn(aws)

    assert ":log-group:" in vanilla
    assert not vanilla.endswith(":*")
    assert patched.endswith(":*")


def arn(aws: Aws) -> str:
    """The ARN of a log group, as another resource of its template sees it."""
    value = {"Fn::GetAtt": ["Group", "Arn"]}
    parameter = {"Name": new_name(), "Type": "String", "Value": value}
    name = aws.stack(
        Group={"Type": "AWS::Logs::LogGroup", "Properties": {}},
        Parameter={"Type": "AWS::SSM::Parameter", "Properties": parameter},
    )["Parameter"]
    return str(aws.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
