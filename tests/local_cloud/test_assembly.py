"""CDK's assembly, read as `cdk deploy` reads it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from local_cloud.assembly import Assembly
from local_cloud.errors import LocalCloudError
from local_cloud.images import StagedImage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Some.template.json").write_text('{"Resources": {}}')
    (tmp_path / "asset.1").mkdir()
    (tmp_path / "asset.1" / "index.py").write_text("x = 1\n")
    (tmp_path / "asset.2.json").write_text("[]")
    (tmp_path / "Some.assets.json").write_text(json.dumps(ASSETS))
    return tmp_path


BUCKET = "assets-${AWS::AccountId}-${AWS::Region}"
ASSETS: dict[str, Any] = {
    "files": {
        "1": {
            "source": {"path": "asset.1", "packaging": "zip"},
            "destinations": {"d": {"bucketName": BUCKET, "objectKey": "1.zip"}},
        },
        "2": {
            "source": {"path": "asset.2.json", "packaging": "file"},
            "destinations": {"d": {"bucketName": BUCKET, "objectKey": "2.json"}},
        },
    },
    "dockerImages": {
        "3": {
            "source": {"directory": "asset.3", "dockerBuildArgs": {"EXTRA": "do-it"}},
            "destinations": {"d": {"repositoryName": "images", "imageTag": "3"}},
        }
    },
}


def test_files_are_published_under_the_names_that_the_template_uses(folder: Path):
    (zipped, plain) = Assembly.read(folder).files()

    assert zipped[:2] == ("assets-123456789012-eu-west-1", "1.zip")
    assert zipfile.ZipFile(io.BytesIO(zipped[2])).read("index.py") == b"x = 1\n"
    assert plain == ("assets-123456789012-eu-west-1", "2.json", b"[]")


def test_images_are_their_staged_folders(folder: Path):
    ((repository, tag, image),) = Assembly.read(folder).images()

    assert (repository, tag) == ("images", "3")
    assert image.folder == folder / "asset.3"
    assert image.python_path == (image.folder, folder / "asset.3/src")
    assert StagedImage.from_manifest(image.to_manifest()) == image


def test_an_assembly_of_two_stacks_is_refused_by_name(folder: Path):
    (folder / "Other.template.json").touch()

    with pytest.raises(LocalCloudError, match=r"Other\.template\.json, Some\.template\.json"):
        Assembly.read(folder)


def test_the_last_command_of_a_dockerfile_counts(tmp_path: Path):
    (tmp_path / "Dockerfile").write_text(
        'FROM a AS b\nCMD ["first"]\nFROM b\nENTRYPOINT ["python", "-m"]\nCMD ["x.y", "z"]\n'
    )
    image = StagedImage(folder=tmp_path, dockerfile="Dockerfile", arguments={})

    assert image.command == ["x.y", "z"]
    assert image.entry_point == ["python", "-m"]


def test_the_manifest_of_a_real_image_is_not_run():
    with pytest.raises(LocalCloudError, match="the image is not staged"):
        StagedImage.from_manifest('{"mediaType": "application/vnd.oci.image.manifest.v1+json"}')
