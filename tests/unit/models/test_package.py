import errno
from concurrent.futures import ThreadPoolExecutor

import pytest

from swath import storage
from swath.errors import PackageError
from swath.models import package as module
from swath.models import packing
from swath.models.package import describe_package, load_package
from tests.helpers.packages import write_package

pytestmark = pytest.mark.usefixtures("package_cache")


@pytest.fixture(params=["folder", "archive", "s3"])
def uri(request, package, archive):
    """Return the same package as a folder, an archive and an object."""
    if request.param == "folder":
        return str(package)
    if request.param == "archive":
        return str(archive)
    bucket = request.getfixturevalue("http_bucket")
    storage.write_bytes(f"{bucket}/bright/model.tar.gz", archive.read_bytes())
    return f"{bucket}/bright/model.tar.gz"


@pytest.mark.enable_socket
def test_every_form_gives_the_same_package(uri, package):
    loaded = load_package(uri)
    info = describe_package(uri)

    assert loaded.description == info.description
    assert loaded.digest == info.digest == packing.package_digest(package)
    assert [w.format for w in loaded.weights] == ["onnx"]
    assert loaded.weights[0].path == loaded.folder / "model.onnx"
    assert loaded.weights[0].path.read_bytes() == (package / "model.onnx").read_bytes()
    assert (loaded.folder == package) is (uri == str(package))


def test_describing_unpacks_nothing(archive, package_cache):
    describe_package(archive)

    assert list(package_cache.iterdir()) == []


def test_an_archive_is_fetched_once_a_digest(archive):
    first = load_package(archive)
    archive.unlink()

    assert load_package(archive, digest=first.digest).weights == first.weights


def test_a_refused_archive_is_named_not_its_folder(tmp_path):
    folder = write_package(tmp_path / "broken")
    (folder / "mlm.json").write_text("{")
    packing.pack(folder, tmp_path / "broken.tar.gz")

    with pytest.raises(
        PackageError, match=rf"^{tmp_path / 'broken.tar.gz'}: mlm.json: .* correct the file"
    ):
        load_package(tmp_path / "broken.tar.gz")


def test_weights_alone_are_told_how_to_become_a_package(package):
    with pytest.raises(PackageError, match="weights alone are not a package: `swath model init`"):
        describe_package(package / "model.onnx")


def test_many_at_once_unpack_the_same(archive, package_cache):
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: load_package(archive), range(16)))

    assert len({one.weights for one in loaded}) == 1
    assert [p.name for p in next(package_cache.iterdir()).iterdir()] == [loaded[0].digest]


def test_a_full_disk_is_cleared_of_other_packages(archive, tmp_path, package_cache, monkeypatch):
    other = write_package(tmp_path / "other")
    (other / "README.md").write_text("of another kind")
    packing.pack(other, tmp_path / "other.tar.gz")
    earlier = load_package(tmp_path / "other.tar.gz").digest
    (kept,) = package_cache.iterdir()
    unpack = packing.unpack

    def unpack_where_there_is_room(source, target):
        if (kept / earlier).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return unpack(source, target)

    monkeypatch.setattr(packing, "unpack", unpack_where_there_is_room)

    digest = load_package(archive).digest

    assert [path.name for path in kept.iterdir()] == [digest]


def test_a_package_too_large_for_an_empty_disk_is_an_error(archive, monkeypatch):
    tried = []

    def full(*_):
        tried.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packing, "unpack", full)

    with pytest.raises(OSError, match="No space left"):
        load_package(archive)
    assert len(tried) == 1, "nothing can make room"


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_cache_that_others_can_write_to_is_not_trusted(archive, package_cache, mode):
    load_package(archive)
    next(package_cache.iterdir()).chmod(mode)

    with pytest.raises(PackageError, match="writable by other users"):
        load_package(archive)


def test_a_cache_that_others_can_only_read_is_trusted(archive, package_cache):
    load_package(archive)
    next(package_cache.iterdir()).chmod(0o755)

    assert load_package(archive)


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_another_digest_than_agreed_is_refused(form, package, archive):
    with pytest.raises(PackageError, match="not abc: it was replaced"):
        load_package(package if form == "folder" else archive, digest="abc")


def test_weights_that_were_changed_are_refused(package):
    (package / "model.onnx").write_bytes(b"changed")

    with pytest.raises(PackageError, match=r"model\.onnx has the SHA-256"):
        load_package(package)


def test_weights_that_are_missing_are_refused(package):
    (package / "model.onnx").unlink()

    with pytest.raises(PackageError, match=r"has no model\.onnx"):
        load_package(package)


@pytest.mark.parametrize("load", [load_package, describe_package])
def test_a_folder_without_a_description_is_refused(load, tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(PackageError, match=r"empty has no mlm\.json"):
        load(tmp_path / "empty")


@pytest.mark.parametrize("load", [load_package, describe_package])
def test_an_archive_without_a_description_is_refused(load, package, tmp_path):
    packing.pack(package, tmp_path / "a.tar.gz")
    packing.unpack(tmp_path / "a.tar.gz", tmp_path / "b")
    (tmp_path / "b" / "mlm.json").rename(tmp_path / "b" / "other.json")
    module.packing.DESCRIPTION_FILE = "other.json"
    try:
        packing.pack(tmp_path / "b", tmp_path / "c.tar.gz")
    finally:
        module.packing.DESCRIPTION_FILE = "mlm.json"

    with pytest.raises(PackageError, match=r"no mlm\.json"):
        load(tmp_path / "c.tar.gz")


@pytest.mark.parametrize("load", [load_package, describe_package])
@pytest.mark.enable_socket
def test_nothing_there(load, tmp_path, http_bucket):
    for uri in (tmp_path / "absent", f"{http_bucket}/absent/model.tar.gz"):
        with pytest.raises(PackageError, match=r"the model package .*absent.* does not exist"):
            load(uri)


def test_a_bad_description_is_named_with_its_package(tmp_path):
    folder = write_package(tmp_path / "odd", lambda item: item["properties"].pop("mlm:name"))

    with pytest.raises(PackageError, match=r"odd: mlm\.json: .*mlm:name"):
        describe_package(folder)
