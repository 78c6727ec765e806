import boto3
import pytest

from swath import storage
from swath.errors import InputError
from swath.launching.transform import TransformRequest, transform
from swath.packing import pack
from tests.packages import write_package


def request(**changes):
    values = {
        "package": "s3://results/models/a/model.tar.gz",
        "images": "s3://scenes/chips/",
        "out": "s3://results/chips/",
        "instance_type": "ml.m5.xlarge",
    }
    return TransformRequest(**(values | changes))


def test_a_job_and_its_model(aws, tmp_path, deployment, calls):
    write_package(tmp_path / "package")
    pack(tmp_path / "package", tmp_path / "model.tar.gz")
    storage.copy(str(tmp_path / "model.tar.gz"), request().package)

    name = transform(request(instances=2), deployment)

    made = dict(calls)
    model = made["CreateModel"]
    assert model["ModelName"] == name
    assert model["ExecutionRoleArn"] == deployment.serving_role
    assert model["PrimaryContainer"] == {
        "Image": deployment.serving_image,
        "ModelDataUrl": request().package,
    }
    job = made["CreateTransformJob"]
    assert job["ModelName"] == name
    assert job["BatchStrategy"] == "SingleRecord"
    assert job["MaxConcurrentTransforms"] * job["MaxPayloadInMB"] <= 100
    assert job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] == request().images
    assert job["TransformOutput"]["S3OutputPath"] == request().out
    assert job["TransformResources"] == {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2}
    described = boto3.client("sagemaker").describe_transform_job(TransformJobName=name)
    assert described["ModelName"] == name


@pytest.mark.parametrize("name", ["package", "images", "out"])
def test_what_is_not_on_s3(aws, deployment, name):
    with pytest.raises(InputError, match="chips is no S3 URI"):
        transform(request(**{name: "chips"}), deployment)


def test_a_package_that_is_no_archive(aws, deployment):
    with pytest.raises(InputError, match=r"is no \.tar\.gz file"):
        transform(request(package="s3://results/models/a"), deployment)
