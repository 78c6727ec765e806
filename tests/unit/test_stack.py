import json

import boto3
import pytest

from swath.errors import InputError
from swath.stack import Deployment
from tests.helpers.stacks import account


@pytest.fixture(autouse=True)
def aws():
    with account():
        yield


def test_outputs_of_a_stack():
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {
            "ResultsBucket": {"Value": "results"},
            "TrainingRoleArn": {"Value": "arn:aws:iam::1:role/r"},
        },
    }
    boto3.client("cloudformation").create_stack(
        StackName="swath", TemplateBody=json.dumps(template)
    )

    found = Deployment.from_stack("swath")

    assert found.jobs_uri == "s3://results/training"
    assert found.training_role == "arn:aws:iam::1:role/r"
    with pytest.raises(InputError, match="TrainingImageUri; set `training` to true"):
        _ = found.training_image
    with pytest.raises(InputError, match="ServingImageUri; name an endpoint"):
        _ = found.serving_image


def test_no_stack():
    with pytest.raises(InputError, match="no stack 'other' in eu-west-1"):
        Deployment.from_stack("other")
