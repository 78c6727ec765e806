import boto3
import pytest

from swath import storage
from swath.errors import InputError
from swath.models.packing import pack
from swath.sagemaker.jobs.transform import TransformJob, launch_transform
from tests.helpers.packages import write_package


def request(**changes):
    values = {
        "package": "s3://results/training/output/a/model.tar.gz",
        "images": "s3://scenes/chips/",
        "out": "s3://results/transforms/chips/",
        "instance_type": "ml.m5.xlarge",
    }
    return TransformJob(**(values | changes))


@pytest.fixture
def chips(aws, tmp_path):
    """Upload a package and two images, one of which is not an image."""
    write_package(tmp_path / "package")
    pack(tmp_path / "package", tmp_path / "model.tar.gz")
    storage.copy(str(tmp_path / "model.tar.gz"), request().package)
    storage.write_bytes("s3://scenes/chips/a.tif", b"pixels")
    storage.write_bytes("s3://scenes/chips/a.tif.aux.xml", b"statistics")


def test_a_job_and_its_model(chips, deployment, calls):
    job = launch_transform(request(instances=2), deployment)

    made = dict(calls)
    model = made["CreateModel"]
    assert model["ExecutionRoleArn"] == deployment.serving_role
    assert model["PrimaryContainer"] == {
        "Image": deployment.serving_image,
        "ModelDataUrl": request().package,
    }
    asked = made["CreateTransformJob"]
    assert asked["ModelName"] == model["ModelName"]
    assert asked["BatchStrategy"] == "SingleRecord"
    assert asked["MaxConcurrentTransforms"] * asked["MaxPayloadInMB"] <= 100
    assert asked["TransformOutput"]["S3OutputPath"] == request().out
    assert asked["TransformResources"] == {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2}
    described = boto3.client("sagemaker").describe_transform_job(TransformJobName=job.name)
    assert described["ModelName"] == model["ModelName"]


def test_a_job_is_given_images_alone_and_may_read_their_list(chips, deployment, calls):
    job = launch_transform(request(), deployment)

    source = dict(calls)["CreateTransformJob"]["TransformInput"]["DataSource"]["S3DataSource"]
    assert source["S3DataType"] == "ManifestFile"
    assert storage.read_json(source["S3Uri"]) == [{"prefix": "s3://scenes/chips/"}, "a.tif"]
    deployment.check_readable(source["S3Uri"])
    assert job.chips.skipped == ("a.tif.aux.xml (unknown suffix)",)


def test_jobs_of_one_package_share_a_model(chips, deployment):
    first, second = (launch_transform(request(), deployment) for _ in range(2))

    assert first.name != second.name
    assert len(boto3.client("sagemaker").list_models()["Models"]) == 1
    # After a deployment with another container image, the job needs another model.
    deployment.outputs["ServingImageUri"] += "2"
    launch_transform(request(), deployment)
    assert len(boto3.client("sagemaker").list_models()["Models"]) == 2


@pytest.mark.parametrize("name", ["package", "images", "out"])
def test_what_is_not_on_s3(aws, deployment, name):
    with pytest.raises(InputError, match="chips is not an S3 URI"):
        launch_transform(request(**{name: "chips"}), deployment)


def test_a_package_that_is_no_archive(aws, deployment):
    with pytest.raises(InputError, match=r"is not a \.tar\.gz file"):
        launch_transform(request(package="s3://results/models/a"), deployment)


@pytest.mark.parametrize("kind", ["ml.g5.xlarge", "ml.p3.2xlarge", "ml.inf2.xlarge"])
def test_a_host_with_a_gpu_is_refused_with_the_reason(aws, deployment, kind):
    with pytest.raises(InputError, match=rf"{kind} has an accelerator.*drivers for CUDA 12"):
        launch_transform(request(instance_type=kind), deployment)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"package": "s3://other/m.tar.gz"}, "below s3://scenes/, .*, s3://cdk-assets/"),
        ({"images": "s3://cdk-assets/chips/"}, "may not read it"),
        ({"out": "s3://results/chips/"}, "write below s3://results/transforms/"),
        ({"out": "s3://scenes/out/"}, "write below s3://results/transforms/"),
    ],
)
def test_what_the_role_may_not_do_is_refused_before_a_model_is_made(
    aws, deployment, calls, change, says
):
    with pytest.raises(InputError, match=says):
        launch_transform(request(**change), deployment)

    assert not calls


def test_a_deployed_package(aws, deployment, chips):
    package = "s3://cdk-assets/0123.tar.gz"
    storage.copy(request().package, package)

    assert launch_transform(request(package=package), deployment).name
