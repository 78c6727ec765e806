"""Pack a model package into `model.tar.gz`, unpack it, and compute its digest.

A folder and the archive made from it have the same digest, so a run may be given either of them.
This module imports no third-party library, since the deployment packs the models folder with it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from swath.errors import PackageError

DESCRIPTION_FILE = "mlm.json"
MAX_PACKAGE_BYTES = 4 * 2**30
"""Maximum total size of a package's files in bytes. The archive and the unpacked files are both on
the disk of the Lambda function that runs inference, and that disk has at most 10 GiB."""
MAX_FILES = 1000
"""Maximum number of files in a package."""
MAX_DESCRIPTION_BYTES = 4 << 20
"""Maximum size of `mlm.json` in bytes."""
MAX_HEADER_BYTES = 1 << 20
"""Maximum size in bytes of the headers between two files of an archive, such as long names. tarfile
holds them in memory."""
MAX_FOLDERS = 10_000
"""Maximum number of folders that are searched for a package's files."""
_TAR_READ_BYTES = 10 << 10
"""Number of bytes that tarfile reads at once."""
_COPY_BYTES = 2**20
_WEIGHTS_SUFFIXES = {".onnx", ".pt", ".pt2", ".pth"}
_MAX_PADDING_BYTES = 2**20  # bytes; tar pads its last record, whose default size is 10 KiB
_ARCHIVE_ERRORS = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
_FIXED_MTIME = 315532800  # 1980-01-01; a fixed time, so that the same files give the same archive


def missing_package(uri: str | Path) -> str:
    """Return the message for a missing model package."""
    return f"the model package {uri} does not exist; check the address"


def missing_description(uri: str | Path) -> str:
    """Return the message for a folder or an archive without `mlm.json`."""
    return (
        f"{uri} has no {DESCRIPTION_FILE}, which each model package needs; `swath model init` "
        "creates a package from weights"
    )


def package_digest(path: Path) -> str:
    """Return the SHA-256, hex, of the names and contents of a package's files.

    Args:
        path: Folder or `model.tar.gz`.

    Raises:
        PackageError: There is no package at the path, or it is not safe to unpack.
    """
    if path.is_dir():
        return _combine_hashes({name: sha256(file) for name, file in _files(path).items()})
    return scan(path)[0]


def pack(folder: Path, target: Path) -> str:
    """Pack a folder into an archive, and return the package's digest.

    The same files always give the same bytes.

    Args:
        folder: Folder of the package.
        target: Path of the archive to write.

    Raises:
        PackageError: The folder has no `mlm.json`, or contains something that is not a plain file.
    """
    files = _files(folder)
    if DESCRIPTION_FILE not in files:
        raise PackageError(missing_description(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=_FIXED_MTIME) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        # `mlm.json` is the first file, so that a reader that needs no other file can stop early.
        for name in sorted(files, key=lambda name: (name != DESCRIPTION_FILE, name)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = files[name].stat().st_size, _FIXED_MTIME, 0o644
            with files[name].open("rb") as content:
                archive.addfile(entry, content)
    return package_digest(folder)


def scan(archive: Path) -> tuple[str, bytes | None]:
    """Return an archive's digest and the content of its `mlm.json`, without unpacking it.

    The content is None if the archive has no `mlm.json`.

    Args:
        archive: Path of a `model.tar.gz`.

    Raises:
        PackageError: The file is not an archive, or not safe to unpack.
    """
    hashes: dict[str, str] = {}
    description = None
    with _open_archive(archive) as members:
        for name, content in members:
            if name == DESCRIPTION_FILE:
                description = content.read(MAX_DESCRIPTION_BYTES + 1)
                check_description_size(archive, len(description))
                hashes[name] = hashlib.sha256(description).hexdigest()
            else:
                hashes[name] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    return _combine_hashes(hashes), description


def unpack(archive: Path, folder: Path) -> str:
    """Unpack an archive into a new folder, and return the package's digest.

    Args:
        archive: Path of a `model.tar.gz`.
        folder: Folder to create.

    Raises:
        PackageError: The file is not an archive, or not safe to unpack.
    """
    folder.mkdir(parents=True)
    with _open_archive(archive) as members:
        for name, content in members:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                shutil.copyfileobj(content, out, _COPY_BYTES)
            if name == DESCRIPTION_FILE:
                check_description_size(archive, target.stat().st_size)
    return package_digest(folder)


def sha256(path: Path) -> str:
    """Return the SHA-256, hex, of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _combine_hashes(hashes: dict[str, str]) -> str:
    lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    """Return the path of each file below a folder by its relative name, except hidden files."""
    if not folder.is_dir():
        raise PackageError(f"{folder} is not a folder; a model package is one, or a model.tar.gz")
    files_by_name: dict[str, Path] = {}
    size = 0
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file():
            raise PackageError(
                f"{folder}: {name} is not a plain file; a package may contain nothing else"
            )
        _check_name(folder, name)
        files_by_name[name], size = path, size + path.stat().st_size
        _check_size(folder, len(files_by_name), size)
    if DESCRIPTION_FILE in files_by_name:
        check_description_size(folder, files_by_name[DESCRIPTION_FILE].stat().st_size)
    return files_by_name


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that are not hidden."""
    for number, (parent, folders, files) in enumerate(os.walk(folder), 1):
        if number > MAX_FOLDERS:
            raise PackageError(
                f"{folder} has more than {MAX_FOLDERS} folders; give a folder that contains only a "
                "model package"
            )
        folders[:] = sorted(name for name in folders if not _is_hidden((name,)))
        yield from (Path(parent, name) for name in sorted(files) if not _is_hidden((name,)))


def check_description_size(package: Path | str, size: int) -> None:
    """Raise an error if an `mlm.json` is too large.

    Args:
        package: Address of the package, for the message.
        size: Size of the file in bytes.

    Raises:
        PackageError: The file has more than `MAX_DESCRIPTION_BYTES`.
    """
    if size > MAX_DESCRIPTION_BYTES:
        raise PackageError(
            f"{package}: {DESCRIPTION_FILE} has more than {MAX_DESCRIPTION_BYTES >> 20} MiB; "
            "remove what does not describe the model"
        )


def _check_size(package: Path, files: int, size: int) -> None:
    if files > MAX_FILES:
        raise PackageError(f"{package} has more than {MAX_FILES} files, the maximum of a package")
    if size > MAX_PACKAGE_BYTES:
        raise PackageError(
            f"{package} has more than {MAX_PACKAGE_BYTES / 2**30:.3g} GiB, the maximum of a "
            "package; leave out weights of a second format, or store them in half precision"
        )


def _check_name(package: Path, name: str) -> None:
    # Python decodes bytes that are not UTF-8 as lone surrogates, which cannot be encoded again.
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise PackageError(f"{package}: the name {name!r} is not UTF-8; rename the file")


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in parts)


class _BoundedStream:
    """Stream of the tar in an archive that refuses long headers.

    tarfile reads a whole header into memory, whatever length the header states.
    """

    def __init__(self, archive: Path, source: gzip.GzipFile) -> None:
        self.source = source
        self._archive = archive
        self._remaining = MAX_HEADER_BYTES

    def allow(self, size: int) -> None:
        """Allow reading the content of a file and the headers before the next file.

        Args:
            size: Size of the file in bytes.
        """
        self._remaining = size + MAX_HEADER_BYTES

    def read(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            PackageError: More bytes were read since the last file than `allow` permits.
        """
        content = self.source.read(size)
        self._remaining -= len(content)
        if self._remaining < 0:
            raise PackageError(
                f"{self._archive} has more than {MAX_HEADER_BYTES >> 20} MiB of headers for one "
                "file; pack the package again"
            )
        return content


@contextmanager
def _open_archive(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Open an archive, and give the name and content of each file in the archive's order."""
    try:
        with (
            archive.open("rb") as raw,
            gzip.GzipFile(fileobj=raw) as unzipped,
        ):
            bounded = _BoundedStream(archive, unzipped)
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=_TAR_READ_BYTES) as opened:  # type: ignore[call-overload] # it reads only
                yield _members(archive, opened, bounded)
    except FileNotFoundError:
        raise PackageError(missing_package(archive)) from None
    except (*_ARCHIVE_ERRORS, RecursionError, ValueError) as error:
        raise PackageError(
            f"{archive} is not a model.tar.gz that can be read: {error}; {_remedy(archive)}"
        ) from error


def _remedy(archive: Path) -> str:
    if archive.suffix in _WEIGHTS_SUFFIXES:
        return "weights alone are not a package: `swath model init` creates one from them"
    return "copy it again, or pack the package's folder again with tar -czf"


def _members(
    archive: Path, opened: tarfile.TarFile, bounded: _BoundedStream
) -> Iterator[tuple[str, IO[bytes]]]:
    count = total = 0
    for member in opened:
        name = PurePosixPath(member.name)
        # Checked here, since the Python of Debian 12 is older than tarfile's filters.
        outside = name.is_absolute() or ".." in name.parts
        count, total = count + 1, total + member.size
        _check_size(archive, count, total)
        bounded.allow(member.size)
        if not outside and (member.isdir() or _is_hidden(name.parts)):
            continue
        if outside or not member.isreg():
            raise PackageError(
                f"{archive}: {member.name} is not a plain file inside the package; pack the "
                "package again without it"
            )
        _check_name(archive, name.as_posix())
        content = opened.extractfile(member)
        if content is None:
            raise PackageError(f"{archive}: {member.name} cannot be read; pack the package again")
        yield name.as_posix(), content
    # tarfile reads neither tar's padding nor gzip's checksum, which comes after the padding.
    # Reading to the end verifies the checksum.
    if len(bounded.source.read(_MAX_PADDING_BYTES + 1)) > _MAX_PADDING_BYTES:
        raise PackageError(f"{archive} has data after its last file; pack the package again")
