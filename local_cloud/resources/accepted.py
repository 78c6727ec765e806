"""Accept resource types that need no action in the local cloud."""

from __future__ import annotations

from local_cloud.resources.model import CreatedResource, ResourceRequest

# docs/local-cloud.md repeats these reasons for users.
ACCEPTED_TYPES = {
    "AWS::CDK::Metadata": "states the CDK version of the template",
    "AWS::CloudWatch::Alarm": "nothing is measured here",
    "AWS::EC2::FlowLog": "no packet flows here",
    "AWS::EC2::SecurityGroupEgress": "no packet is filtered here",
    "AWS::Glue::Database": "there is no Athena here; DuckDB reads the same folders",
    "AWS::Glue::Table": "there is no Athena here; DuckDB reads the same folders",
    "AWS::RDS::DBClusterParameterGroup": "the database is configured by local_cloud/postgis",
    "Custom::S3AutoDeleteObjects": "the local cloud is deleted with all its objects",
    "Custom::VpcRestrictDefaultSG": "no packet is filtered here",
}


def accept_resource(request: ResourceRequest) -> CreatedResource:
    """Return a resource with a name and an ARN, but no content."""
    arn = f"arn:aws:local:{request.region}:{request.account}:{request.name}"
    return CreatedResource(request.name, {"Arn": arn})
