import pickle
import struct
import zipfile

import pytest

from swath.errors import PackageError
from swath.models import weights_format
from swath.models.package import load_package
from swath.models.weights_format import check_weights_file, detect_format
from tests.helpers.exports import Trap, checkpoint
from tests.helpers.packages import bright_pixels, write_package


@pytest.fixture
def trap(tmp_path):
    """Return the path of a file that exists once a pickle was loaded."""
    return tmp_path / "sprung"


def archive_of(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return path


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("m/code/__torch__.py", "m/constants.pkl", "m/data.pkl"), "torchscript"),
        (("m/models/model.json", "m/archive_format"), "pt2"),
        (("serialized_exported_program.json", "serialized_state_dict.pt"), "pt2"),
        (("m/data.pkl", "m/data/0"), "checkpoint"),
        (("readme.txt",), "other"),
    ],
)
def test_archives_are_told_apart_by_what_they_hold(tmp_path, names, kind):
    assert detect_format(archive_of(tmp_path / "a", *names)) == kind


def test_an_onnx_model_is_one_whatever_its_name(tmp_path):
    (tmp_path / "model.pt").write_bytes(bright_pixels())

    assert detect_format(tmp_path / "model.pt") == "onnx"
    with pytest.raises(PackageError, match=r"holds an ONNX model \(\.onnx\), not TorchScript"):
        check_weights_file(tmp_path / "model.pt", "torchscript")


SAFETENSORS = struct.pack("<Q", 20) + b'{"a":{"dtype":"F32"}}'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        (SAFETENSORS, "safetensors"),
        (b"PK\x03\x04 cut off", "broken archive"),
    ],
)
@pytest.mark.parametrize("name", ["model.onnx", "model.pt", "model.pt2"])
def test_what_is_no_model_is_refused_with_the_reason(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    formats = {".onnx": "onnx", ".pt": "torchscript", ".pt2": "pt2"}

    with pytest.raises(PackageError, match=reason):
        check_weights_file(tmp_path / name, formats[(tmp_path / name).suffix])


@pytest.mark.parametrize("name", ["model.onnx", "model.pt", "model.pt2"])
@pytest.mark.parametrize("form", ["bare", "archive"])
def test_a_pickle_is_refused_and_never_read(tmp_path, trap, name, form):
    def change(item):
        item["assets"] = {"w": {"href": name, "roles": ["mlm:model"]}}

    folder = write_package(tmp_path / "bad", change)
    (folder / "model.onnx").unlink()
    if form == "bare":
        (folder / name).write_bytes(pickle.dumps(Trap(trap)))
    else:
        checkpoint(folder / name, trap=trap)

    with pytest.raises(PackageError, match=f"{name} is a pickle .*swath never loads a pickle"):
        load_package(folder)
    assert not trap.exists()
    # The trap works: a reader that trusts the same bytes triggers it.
    with (
        zipfile.ZipFile(folder / name) if form == "archive" else (folder / name).open("rb") as file
    ):
        content = file.read("best/data.pkl") if form == "archive" else file.read()
    pickle.loads(content.replace(b"cultralytics.nn.tasks\nDetectionModel\n0", b""))  # noqa: S301
    assert trap.exists()


@pytest.mark.parametrize(
    ("imported", "remedy"),
    [
        (("ultralytics.nn.tasks", "DetectionModel"), r"yolo export model=best\.pt format=onnx"),
        (("torch._utils", "_rebuild_tensor_v2"), r"load_state_dict\(torch\.load\('best\.pt'"),
        (("mine.networks", "Net"), r"torch\.onnx\.export"),
        (("torch.nn.modules.container", "Sequential"), "Python objects"),
    ],
)
def test_a_checkpoint_is_refused_with_how_to_export_it(tmp_path, imported, remedy):
    path = checkpoint(tmp_path / "best.pt", imported=imported)

    with pytest.raises(PackageError, match=remedy):
        check_weights_file(path, "torchscript")


def test_a_pickle_that_cannot_be_parsed_is_still_no_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02\xff\xff")

    with pytest.raises(PackageError, match="Python objects"):
        check_weights_file(tmp_path / "m.pt", "torchscript")


def archive(path, entries, size=10, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind) as out:
        for number in range(entries):
            out.writestr(f"model/data/{number}", bytes(size))
        out.writestr("model/archive_format", b"pt2")
    return path


def test_the_parts_of_an_archive_are_counted(tmp_path, monkeypatch):
    path = archive(tmp_path / "model.pt2", 9)
    monkeypatch.setattr(weights_format, "_MAX_ARCHIVE_ENTRIES", 10)
    check_weights_file(path, "pt2")

    monkeypatch.setattr(weights_format, "_MAX_ARCHIVE_ENTRIES", 9)
    with pytest.raises(PackageError, match=r"model\.pt2 is an archive of 10 files"):
        check_weights_file(path, "pt2")


@pytest.mark.parametrize("wide", [False, True], ids=["zip", "zip64"])
def test_a_table_of_contents_is_measured_before_it_is_read(tmp_path, monkeypatch, wide):
    if wide:
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    path = archive(tmp_path / "model.pt2", 9)
    with zipfile.ZipFile(path) as opened:
        size = sum(46 + len(entry.filename) for entry in opened.infolist())
    assert (b"PK\x06\x06" in path.read_bytes()) == wide
    monkeypatch.setattr(weights_format, "MAX_DIRECTORY_BYTES", size)
    check_weights_file(path, "pt2")

    monkeypatch.setattr(weights_format, "MAX_DIRECTORY_BYTES", size - 1)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(PackageError, match="whose table of contents has"):
        check_weights_file(path, "pt2")


def test_weights_that_unpack_to_more_than_the_memory_are_refused(tmp_path, monkeypatch):
    path = archive(tmp_path / "model.pt2", 3, size=1 << 20, kind=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(weights_format, "memory_limit", lambda: (3 << 20) + 3)
    check_weights_file(path, "pt2")

    monkeypatch.setattr(weights_format, "memory_limit", lambda: (3 << 20) + 2)
    with pytest.raises(PackageError, match="has 3 MiB when unpacked, and this process may"):
        check_weights_file(path, "pt2")
