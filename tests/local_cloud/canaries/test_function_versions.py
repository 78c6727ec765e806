from __future__ import annotations

from pathlib import Path

from local_cloud.moto_patches import function_versions
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied


def test_canary_function_versions(services: Services, aws: Aws, tmp_path: Path):
    first, second = (
        aws.image(tmp_path / name, {"Dockerfile": "FROM scratch\n"}) for name in ("one", "two")
    )

    assert published(aws, first, second) == (second, "1", "1")
    with applied(services, function_versions):
        assert published(aws, first, second) == (first, "1", "2")


def published(aws: Aws, first: str, second: str) -> tuple[str, str, str]:
    """Return a version's image after an update, its number, and the number after its deletion."""
    functions, arn = aws.client("lambda"), aws.function(first)
    one = functions.publish_version(FunctionName=arn)
    functions.update_function_code(FunctionName=arn, ImageUri=second)
    image = functions.get_function(FunctionName=arn, Qualifier="1")["Code"]["ImageUri"]
    functions.delete_function(FunctionName=arn, Qualifier="1")
    return image, one["Version"], functions.publish_version(FunctionName=arn)["Version"]
