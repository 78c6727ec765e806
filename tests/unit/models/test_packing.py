import contextlib
import gzip
import io
import os
import random
import tarfile
import tracemalloc

import pytest

from swath.errors import PackageError
from swath.models import packing
from swath.models.package import describe_package
from tests.helpers.fuzzing import draws
from tests.helpers.packages import write_package


@pytest.fixture
def packed(package, tmp_path):
    target = tmp_path / "packed" / "model.tar.gz"
    packing.pack(package, target)
    return target


def archive_of(path, *members):
    """Write an archive from (TarInfo or name, content) pairs."""
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            entry = tarfile.TarInfo(member) if isinstance(member, str) else member
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def entry_of_type(name, kind, link=""):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def test_a_folder_and_its_archive_have_one_digest(package, packed):
    assert packing.package_digest(package) == packing.package_digest(packed)


def test_packing_again_gives_the_same_bytes(package, packed, tmp_path):
    for path in package.iterdir():
        os.utime(path, (0, 0))
    again = tmp_path / "again.tar.gz"

    digest = packing.pack(package, again)

    assert again.read_bytes() == packed.read_bytes()
    assert digest == packing.package_digest(package)


@pytest.mark.parametrize("change", ["content", "name", "more"])
def test_the_digest_changes_with_any_file(package, change):
    before = packing.package_digest(package)
    if change == "content":
        (package / "model.onnx").write_bytes(b"other")
    elif change == "name":
        (package / "model.onnx").rename(package / "other.onnx")
    else:
        (package / "README.md").write_text("more")

    assert packing.package_digest(package) != before


def test_what_editors_leave_behind_is_no_part_of_it(package):
    before = packing.package_digest(package)
    (package / ".DS_Store").write_text("x")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.pyc").write_text("x")

    assert packing.package_digest(package) == before


def test_unpacking_gives_the_files_back(package, packed, tmp_path):
    digest = packing.unpack(packed, tmp_path / "out")

    assert digest == packing.package_digest(package)
    for path in package.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_a_folder_within_a_package_comes_back(package, tmp_path):
    (package / "weights" / "half").mkdir(parents=True)
    (package / "weights" / "half" / "a.onnx").write_bytes(b"a")
    digest = packing.pack(package, tmp_path / "deep.tar.gz")

    assert packing.unpack(tmp_path / "deep.tar.gz", tmp_path / "out") == digest
    assert (tmp_path / "out" / "weights" / "half" / "a.onnx").read_bytes() == b"a"


def test_an_archive_made_by_tar_is_read_too(package, tmp_path):
    with tarfile.open(tmp_path / "by-hand.tar.gz", "w:gz") as archive:
        archive.add(package, arcname=".")

    digest, text = packing.scan(tmp_path / "by-hand.tar.gz")

    assert digest == packing.package_digest(package)
    assert text == (package / "mlm.json").read_bytes()


@pytest.mark.parametrize(
    "member",
    [
        "../outside.txt",
        "/etc/outside.txt",
        "a/../../outside.txt",
        entry_of_type("link", tarfile.SYMTYPE, "/etc/passwd"),
        entry_of_type("link", tarfile.LNKTYPE, "mlm.json"),
        entry_of_type("pipe", tarfile.FIFOTYPE),
        entry_of_type("device", tarfile.CHRTYPE),
    ],
    ids=["parent", "absolute", "winding", "symlink", "hard link", "pipe", "device"],
)
def test_what_is_no_plain_file_inside_is_refused(tmp_path, member):
    archive = archive_of(tmp_path / "bad.tar.gz", ("mlm.json", b"{}"), (member, b""))

    with pytest.raises(PackageError, match=r"bad\.tar\.gz"):
        packing.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "outside.txt").exists()


def test_too_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "MAX_PACKAGE_BYTES", 1000)
    archive = archive_of(tmp_path / "bomb.tar.gz", ("zeros", bytes(1001)))

    with pytest.raises(PackageError, match=r"bomb\.tar\.gz has more than .* GiB, the maximum"):
        packing.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out" / "zeros").exists()


def test_a_folder_with_too_much_is_not_packed(package, tmp_path, monkeypatch):
    size = sum(path.stat().st_size for path in package.iterdir())
    monkeypatch.setattr(packing, "MAX_PACKAGE_BYTES", size)
    packing.pack(package, tmp_path / "whole.tar.gz")
    monkeypatch.setattr(packing, "MAX_PACKAGE_BYTES", size - 1)

    with pytest.raises(PackageError, match=r"bright has more than .*; leave out weights"):
        packing.pack(package, tmp_path / "large.tar.gz")
    assert not (tmp_path / "large.tar.gz").exists()


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "MAX_FILES", 3)
    archive = archive_of(tmp_path / "many.tar.gz", *((f"{i}", b"") for i in range(4)))

    with pytest.raises(PackageError, match="more than 3 files"):
        packing.scan(archive)


@pytest.mark.parametrize("content", [b"", b"not gzip", b"\x1f\x8b\x08\x00truncated"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(content)

    with pytest.raises(PackageError, match=r"model\.tar\.gz that can be read"):
        packing.scan(path)


def test_a_cut_off_archive_is_refused(packed, tmp_path):
    packed.write_bytes(packed.read_bytes()[:-400])

    with pytest.raises(PackageError, match="can be read"):
        packing.unpack(packed, tmp_path / "out")


@pytest.mark.fuzz
def test_a_damaged_archive_is_refused_or_read_as_it_was(package, packed, tmp_path):
    """Check random changes of bytes: only gzip's final checksum covers the contents of files."""
    whole, digest = packed.read_bytes(), packing.package_digest(package)
    draw = random.Random(138)
    damaged = tmp_path / "damaged.tar.gz"
    unharmed = 0
    for number in range(count := draws(60, fuzz=5000)):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= draw.randrange(1, 256)
        damaged.write_bytes(content)
        with contextlib.suppress(PackageError):
            assert packing.unpack(damaged, tmp_path / str(number)) == digest
            unharmed += 1
    assert unharmed < count // 2


def test_an_archive_that_goes_on_after_its_end_is_refused(packed, tmp_path):
    packed.write_bytes(packed.read_bytes() + gzip.compress(bytes(2 * 2**20)))

    with pytest.raises(PackageError, match="has data after its last file"):
        packing.scan(packed)


def test_nothing_there(tmp_path):
    with pytest.raises(PackageError, match=r"model package .* does not exist"):
        packing.package_digest(tmp_path / "absent.tar.gz")


def test_what_is_no_folder_is_not_packed(tmp_path):
    (tmp_path / "file").write_text("x")
    for name in ("file", "nothing"):
        with pytest.raises(PackageError, match=f"{name} is not a folder; a model package is one"):
            packing.pack(tmp_path / name, tmp_path / "model.tar.gz")


def test_a_folder_without_a_description_is_not_packed(tmp_path):
    (tmp_path / "model").mkdir()

    with pytest.raises(PackageError, match=r"no mlm\.json"):
        packing.pack(tmp_path / "model", tmp_path / "m.tar.gz")


def test_a_link_in_a_folder_is_refused(tmp_path):
    folder = write_package(tmp_path / "linked")
    (folder / "weights.pt").symlink_to("/etc/hostname")

    with pytest.raises(PackageError, match=r"weights\.pt is not a plain file"):
        packing.package_digest(folder)


def test_a_name_that_is_no_text_is_refused(tmp_path):
    folder = write_package(tmp_path / "named")
    (folder / os.fsdecode(b"weights-\xff.bin")).write_bytes(b"")

    with pytest.raises(PackageError, match=r"'weights-\\udcff\.bin' is not UTF-8; rename"):
        packing.package_digest(folder)


def test_a_name_that_is_no_text_in_an_archive_is_refused(tmp_path):
    archive = archive_of(tmp_path / "model.tar.gz", ("mlm.json", b"{}"), ("weights-\udcff", b""))

    with pytest.raises(PackageError, match=r"'weights-\\udcff' is not UTF-8"):
        packing.package_digest(archive)


def headers(kind, size, count=1):
    """Return a tar with `count` headers of a kind and size before its `mlm.json`."""
    tar = io.BytesIO()
    entry = tarfile.TarInfo("././@PaxHeader")
    entry.type, entry.size = kind, size
    for _ in range(count):
        tar.write(entry.tobuf(tarfile.GNU_FORMAT))
        content = b"x" * size if kind != tarfile.XHDTYPE or not size else _pax(size)
        tar.write(content + bytes(-size % 512))
    entry = tarfile.TarInfo("mlm.json")
    entry.size = 2
    tar.write(entry.tobuf() + b"{}" + bytes(510) + bytes(1024))
    return tar.getvalue()


def _pax(size):
    """Return one PAX record of exactly `size` bytes."""
    head = f"{size} comment=".encode()
    return head + b"x" * (size - len(head) - 1) + b"\n"


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK]
)
def test_a_header_is_not_held_whatever_it_says_its_length_is(tmp_path, kind):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(headers(kind, 64 << 20), 1))

    tracemalloc.start()
    with pytest.raises(PackageError, match=r"model\.tar\.gz has more than 1 MiB of headers"):
        packing.scan(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 4 * packing.MAX_HEADER_BYTES


def test_a_header_as_long_as_may_be_is_read(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(headers(tarfile.XHDTYPE, packing.MAX_HEADER_BYTES - 20_000)))
    assert packing.scan(path)[1] == b"{}"

    path.write_bytes(gzip.compress(headers(tarfile.XHDTYPE, packing.MAX_HEADER_BYTES)))
    with pytest.raises(PackageError, match="of headers for one file"):
        packing.scan(path)


def test_headers_about_headers_end(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(headers(tarfile.XHDTYPE, 0, count=900)))

    with pytest.raises(PackageError, match=r"model\.tar\.gz"):
        packing.scan(path)


def test_a_description_is_read_up_to_its_limit(tmp_path):
    most, path = packing.MAX_DESCRIPTION_BYTES, tmp_path / "model.tar.gz"
    archive_of(path, ("mlm.json", bytes(most)))
    assert packing.scan(path)[1] == bytes(most)

    archive_of(path, ("mlm.json", bytes(16 * most)))
    tracemalloc.start()
    with pytest.raises(PackageError, match=r"mlm\.json has more than 4 MiB; remove"):
        packing.scan(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * most


def test_a_folders_description_has_the_same_limit(package):
    with (package / "mlm.json").open("r+b") as file:
        file.truncate(packing.MAX_DESCRIPTION_BYTES)
    assert packing.package_digest(package)

    with (package / "mlm.json").open("r+b") as file:
        file.truncate(packing.MAX_DESCRIPTION_BYTES + 1)
    with pytest.raises(PackageError, match=r"mlm\.json has more than 4 MiB"):
        packing.package_digest(package)
    with pytest.raises(PackageError, match=r"mlm\.json has more than 4 MiB"):
        describe_package(package)


def test_a_folder_is_not_walked_beyond_its_limit(package, monkeypatch):
    """Check a user's mistake: the folder of all scenes instead of a package."""
    for number in range(50):
        (package / f"{number}").mkdir()
        (package / f"{number}" / "x.tif").touch()
    walked, walk = [], os.walk

    def counted(folder):
        for found in walk(folder):
            walked.append(found)
            yield found

    monkeypatch.setattr(os, "walk", counted)
    monkeypatch.setattr(packing, "MAX_FILES", 52)
    packing.package_digest(package)
    walked.clear()
    monkeypatch.setattr(packing, "MAX_FILES", 10)
    with pytest.raises(PackageError, match="has more than 10 files"):
        packing.package_digest(package)
    assert len(walked) < 12


def test_folders_without_a_file_are_counted_too(package, monkeypatch):
    for number in range(10):
        (package / f"{number}").mkdir()
    monkeypatch.setattr(packing, "MAX_FOLDERS", 11)
    packing.package_digest(package)

    monkeypatch.setattr(packing, "MAX_FOLDERS", 10)
    with pytest.raises(PackageError, match="has more than 10 folders"):
        packing.package_digest(package)


def test_hidden_folders_are_not_walked(package, monkeypatch):
    for number in range(10):
        (package / ".git" / f"{number}").mkdir(parents=True)
    monkeypatch.setattr(packing, "MAX_FOLDERS", 1)

    packing.package_digest(package)


def test_a_vast_description_is_refused_by_the_name_of_its_archive(tmp_path):
    archive = tmp_path / "vast.tar.gz"
    with tarfile.open(archive, "w:gz") as target:
        member = tarfile.TarInfo("mlm.json")
        member.size = packing.MAX_DESCRIPTION_BYTES + 1
        target.addfile(member, io.BytesIO(bytes(member.size)))

    with pytest.raises(PackageError, match=rf"^{archive}: mlm\.json has more than 4 MiB"):
        packing.unpack(archive, tmp_path / "unpacked")
