import pytest

from swath import storage
from swath.errors import InputError, PackageError
from swath.models.package import describe_package
from swath.models.packing import pack
from swath.sagemaker.jobs.registry import list_versions, register_model, set_approval
from tests.helpers.packages import write_package


@pytest.fixture
def package(aws, tmp_path):
    """Upload a package and return its URI on S3."""
    write_package(tmp_path / "package")
    pack(tmp_path / "package", tmp_path / "model.tar.gz")
    storage.copy(str(tmp_path / "model.tar.gz"), "s3://results/models/a/model.tar.gz")
    return "s3://results/models/a/model.tar.gz"


def test_a_package_becomes_a_version_that_waits(package, deployment, calls):
    version = register_model(package, "ships", deployment)

    assert version.approval == "PendingManualApproval"
    assert version.digest == describe_package(package).digest
    (made,) = [arguments for name, arguments in calls if name == "CreateModelPackage"]
    assert made["ModelPackageGroupName"] == "ships"
    assert made["InferenceSpecification"]["Containers"] == [
        {"Image": deployment.serving_image, "ModelDataUrl": package}
    ]
    assert "image/tiff" in made["InferenceSpecification"]["SupportedContentTypes"]


def test_the_same_package_is_one_version(package, deployment):
    assert register_model(package, "ships", deployment) == register_model(
        package, "ships", deployment
    )
    assert len(list_versions("ships")) == 1


def test_a_version_is_approved(package, deployment):
    version = register_model(package, "ships", deployment)

    decided = set_approval(version.arn, "Approved", reason="AP 0.4 on Busan")

    assert decided.approval == "Approved"
    assert list_versions("ships") == [decided]


@pytest.mark.parametrize("uri", ["models/ships", "s3://results/models/a"])
def test_what_sagemaker_cannot_fetch(uri, aws, deployment):
    with pytest.raises(InputError, match=r"swath model publish --to"):
        register_model(uri, "ships", deployment)


def test_no_package(aws, deployment):
    with pytest.raises(PackageError, match=r"package .* does not exist"):
        register_model("s3://results/none.tar.gz", "ships", deployment)


def test_no_such_version(aws):
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/ships/7"
    with pytest.raises(InputError, match="not in the registry of this account"):
        set_approval(arn, "Approved", reason="")
