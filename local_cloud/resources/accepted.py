"""Accept resource types that need no action in the local cloud."""

from __future__ import annotations

from local_cloud.resources.making import Made, Request

# docs/local-cloud.md repeats these reasons for users.
ACCEPTED = {
    "AWS::CDK::Metadata": "says which CDK made the template",
    "AWS::CloudWatch::Alarm": "nothing is measured here",
    "AWS::EC2::FlowLog": "no packet flows here",
    "AWS::EC2::SecurityGroupEgress": "no packet is filtered here",
    "AWS::RDS::DBClusterParameterGroup": "the database is configured by local_cloud/postgis",
    "Custom::S3AutoDeleteObjects": "a local cloud is thrown away with all its objects",
    "Custom::VpcRestrictDefaultSG": "no packet is filtered here",
}


def accept(request: Request) -> Made:
    """Return a resource with a name and an ARN, but no content."""
    arn = f"arn:aws:local:{request.region}:{request.account}:{request.name}"
    return Made(request.name, {"Arn": arn})
