"""Tests of what a drop uploads, under which keys, and what is refused before any upload."""

import dataclasses
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from swath import storage
from swath.errors import InputError, SceneError
from swath.items import SceneSources
from swath.messages import ModelRef
from swath.models.package import describe_package
from swath.pipeline.dropping import drops
from swath.pipeline.dropping.drops import DropTarget, plan_drop

BUCKET = "scenes"


@pytest.fixture
def target(package):
    info = describe_package(package)
    return DropTarget(
        bucket=BUCKET,
        model=ModelRef(name="ships", uri=str(package), digest=info.digest),
        is_default=False,
        sources=SceneSources.parse([f"s3://{BUCKET}/", "s3://archive/public/"]),
    )


@pytest.fixture
def bands(package):
    return describe_package(package).description.bands


@pytest.fixture
def scene(make_scene, bands):
    return make_scene(np.ones((len(bands), 60, 100), "int16"))


class TestSingleFiles:
    def test_it_is_uploaded_into_the_folder_of_the_model(self, scene, target):
        planned = plan_drop([str(scene)], target)

        (upload,) = planned.files
        assert planned.uri == upload.uri == f"s3://{BUCKET}/incoming/ships/{Path(scene).name}"
        assert (upload.path, upload.size) == (Path(scene), Path(scene).stat().st_size)
        assert planned.size == upload.size
        assert planned.document is None

    def test_without_a_model_it_goes_beside_the_folders(self, scene, target):
        target = replaced(target, is_default=True)

        assert plan_drop([str(scene)], target).uri == f"s3://{BUCKET}/incoming/{Path(scene).name}"

    def test_a_time_goes_with_it_in_utc(self, scene, target):
        planned = plan_drop([str(scene)], target, acquired_at="2026-11-28T12:30:00+02:00")

        assert planned.acquired_at.startswith("2026-11-28T10:30:00")
        assert planned.document is None


class TestSeveralFiles:
    @pytest.fixture
    def files(self, tmp_path):
        paths = [tmp_path / f"S2A_29RKH_{band}.tif" for band in ("B02", "B03")]
        for path in paths:
            path.write_bytes(b"raster")
        return [str(path) for path in paths]

    def test_the_document_comes_after_its_files(self, files, target):
        planned = plan_drop(files, target)

        folder = f"s3://{BUCKET}/files/ships/S2A_29RKH_B0"
        assert planned.uri == f"s3://{BUCKET}/incoming/ships/S2A_29RKH_B0.json"
        uris = [f"{folder}/{Path(file).name}" for file in files]
        assert [upload.uri for upload in planned.files] == uris
        assert json.loads(planned.document) == {"files": uris}
        assert [asset.href for asset in planned.item.assets] == uris

    def test_files_without_a_shared_name_are_counted(self, tmp_path, target):
        for name in ("a.tif", "b.tif", "c.tif"):
            (tmp_path / name).write_bytes(b"raster")

        planned = plan_drop([str(tmp_path / f"{n}.tif") for n in "abc"], target)

        assert planned.uri.endswith("/incoming/ships/a-and-2-more.json")

    def test_files_on_s3_are_not_copied(self, files, target):
        planned = plan_drop([files[0], "s3://archive/public/S2A_29RKH_B08.tif"], target)

        assert [upload.path.name for upload in planned.files] == ["S2A_29RKH_B02.tif"]
        assert json.loads(planned.document)["files"][1] == "s3://archive/public/S2A_29RKH_B08.tif"

    def test_a_file_outside_the_sources_is_refused(self, files, target):
        with pytest.raises(SceneError, match=r"s3://private/x\.tif lies outside the allowed"):
            plan_drop([files[0], "s3://private/x.tif"], target)

    def test_two_files_of_one_name_are_refused(self, tmp_path, target):
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "x.tif").write_bytes(b"raster")

        with pytest.raises(InputError, match=r"two files have the name 'x\.tif'"):
            plan_drop([str(tmp_path / "one/x.tif"), str(tmp_path / "two/x.tif")], target)

    def test_a_document_among_them_is_refused(self, files, target):
        with pytest.raises(InputError, match="give it alone"):
            plan_drop([files[0], "item.json"], target)


class TestReferences:
    def test_a_file_on_s3_is_named_with_its_bands(self, scene, target, bands, http_bucket):
        uri = f"{http_bucket}/public/port.tif"
        storage.copy(str(scene), uri)
        target = replaced(target, sources=SceneSources.parse([f"{http_bucket}/public/"]))

        planned = plan_drop([uri], target)

        assert planned.files == []
        document = json.loads(planned.document)
        assert document == {
            "bands": {name: {"uri": uri, "band": n} for n, name in enumerate(bands, 1)}
        }

    def test_an_item_is_uploaded_alone(self, tmp_path, target):
        path = write_item(tmp_path, "s3://archive/public/B02.tif")

        planned = plan_drop([str(path)], target)

        assert planned.files == ()
        assert planned.document == path.read_bytes()
        assert planned.uri == f"s3://{BUCKET}/incoming/ships/item.json"
        assert planned.item.scene_id == "ports/busan"

    def test_an_item_of_local_files_is_refused(self, tmp_path, target):
        path = write_item(tmp_path, "/data/B02.tif")

        with pytest.raises(InputError, match=r"none of the files of .* can be read by the stack"):
            plan_drop([str(path)], target)


class TestRefused:
    @pytest.mark.parametrize("name", ["x.tif.aux.xml", "x.TFW", "x.tif.msk", "x_RPC.TXT"])
    def test_a_sidecar(self, tmp_path, target, name):
        (tmp_path / name).write_bytes(b"sidecar")

        with pytest.raises(InputError, match="starts no run, since it is a file that accompanies"):
            plan_drop([str(tmp_path / name)], target)

    def test_an_empty_file(self, tmp_path, target):
        (tmp_path / "x.tif").touch()

        with pytest.raises(InputError, match="is empty"):
            plan_drop([str(tmp_path / "x.tif")], target)

    def test_a_missing_file(self, tmp_path, target):
        with pytest.raises(InputError, match="does not exist"):
            plan_drop([str(tmp_path / "x.tif")], target)

    def test_a_folder(self, tmp_path, target):
        with pytest.raises(InputError, match="is a folder; give its files"):
            plan_drop([str(tmp_path)], target)

    def test_a_file_that_s3_cannot_hold(self, scene, target, monkeypatch):
        monkeypatch.setattr(drops, "MAX_OBJECT_BYTES", 10)

        with pytest.raises(InputError, match="an object on S3 at most 10"):
            plan_drop([str(scene)], target)

    @pytest.mark.parametrize("time", ["yesterday", "2026-11-28T10:00:00", "2026-13-01"])
    def test_a_time_that_is_none(self, scene, target, time):
        with pytest.raises(InputError, match="--acquired-at is"):
            plan_drop([str(scene)], target, acquired_at=time)


def replaced(target, **changes):
    return dataclasses.replace(target, **changes)


def write_item(folder, href):
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "busan",
        "collection": "ports",
        "geometry": None,
        "properties": {"datetime": "2026-11-28T10:30:00Z"},
        "links": [],
        "assets": {
            "B02": {
                "href": href,
                "type": "image/tiff; application=geotiff",
                "roles": ["data"],
                "eo:bands": [{"name": "B02"}],
            }
        },
    }
    path = folder / "item.json"
    path.write_bytes(msgspec.json.encode(item))
    return path
