from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import endpoint_configurations
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied
from tests.local_cloud.canaries.serving import Serving

OUTPUT = {"OutputConfig": {"S3OutputPath": "s3://anywhere/out"}}


def test_canary_endpoint_configurations(services: Services, aws: Aws, tmp_path: Path):
    serving = Serving.new(aws, tmp_path / "image")
    old = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    describe = aws.client("sagemaker").describe_endpoint

    with pytest.raises(ClientError, match=r"Value 'ml\.g5\.xlarge' at 'instanceType' failed"):
        serving.endpoint()
    vanilla = serving.endpoint(old, asynchronous=OUTPUT)
    assert "AsyncInferenceConfig" not in describe(EndpointName=vanilla)

    with applied(services, endpoint_configurations):
        name = serving.endpoint(asynchronous=OUTPUT)
        assert describe(EndpointName=name)["AsyncInferenceConfig"] == OUTPUT
        plain = describe(EndpointName=serving.endpoint())
        assert "AsyncInferenceConfig" not in plain
        assert plain["EndpointStatus"] == "InService"
