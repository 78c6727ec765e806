"""A model package as files: its digest, packing a folder into `model.tar.gz`, and unpacking one.

A folder and the archive made from it have the same digest, so it does not matter which of the two a
run was given. Standard library only: the deployment packs the models folder with it.
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

DESCRIPTION = "mlm.json"
MAX_BYTES = 4 * 2**30
"""Size of all files of a package. The archive and what is unpacked from it lie side by side on the
disk of the Lambda function that infers, which holds 10 GiB at most."""
MAX_FILES = 1000
MAX_DESCRIPTION_BYTES = 4 << 20
"""Bytes of `mlm.json`."""
MAX_HEADER_BYTES = 1 << 20
"""Bytes of an archive between two files: long names and other headers, which tarfile holds."""
MAX_FOLDERS = 10_000
"""Folders below a package's folder, which are looked through for files."""
_RECORD = 10 << 10
"""Bytes that tarfile reads at once."""
_CHUNK = 2**20
_WEIGHTS = {".onnx", ".pt", ".pt2", ".pth"}
_MAX_PADDING = (
    2**20
)  # bytes; tar fills its last record up, which holds 10 KiB unless told otherwise
_BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
_EPOCH = 315532800  # 1980-01-01: the same bytes give the same archive, whenever it is made


def absent(uri: str | Path) -> str:
    """Return what to say of a model package that is not there."""
    return f"there is no model package at {uri}; check the address"


def undescribed(uri: str | Path) -> str:
    """Return what to say of a folder or an archive that lacks the description of a model."""
    return (
        f"{uri} has no {DESCRIPTION}, which each model package has; `swath model init` makes a "
        "package of weights"
    )


def package_digest(path: Path) -> str:
    """SHA-256 over the names and contents of a package's files, of a folder or of an archive.

    Raises:
        PackageError: there is no package at the path, or it is not safe to unpack.
    """
    if path.is_dir():
        return _digest({name: sha256(file) for name, file in _files(path).items()})
    return scan(path)[0]


def pack(folder: Path, target: Path) -> str:
    """Pack a folder into `target`, byte for byte the same each time; its digest.

    Raises:
        PackageError: the folder has no `mlm.json`, or holds something that is not a plain file.
    """
    files = _files(folder)
    if DESCRIPTION not in files:
        raise PackageError(undescribed(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=_EPOCH) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        # The description goes first, so that a reader after it alone can stop early.
        for name in sorted(files, key=lambda name: (name != DESCRIPTION, name)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = files[name].stat().st_size, _EPOCH, 0o644
            with files[name].open("rb") as content:
                archive.addfile(entry, content)
    return package_digest(folder)


def scan(archive: Path) -> tuple[str, bytes | None]:
    """An archive's digest and its `mlm.json`, without unpacking anything.

    Raises:
        PackageError: it is no archive, or not safe to unpack.
    """
    hashes: dict[str, str] = {}
    description = None
    with _opened(archive) as members:
        for name, content in members:
            if name == DESCRIPTION:
                description = content.read(MAX_DESCRIPTION_BYTES + 1)
                check_description_size(archive, len(description))
                hashes[name] = hashlib.sha256(description).hexdigest()
            else:
                hashes[name] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    return _digest(hashes), description


def unpack(archive: Path, folder: Path) -> str:
    """Unpack an archive into a new folder; its digest.

    Raises:
        PackageError: it is no archive, or not safe to unpack.
    """
    folder.mkdir(parents=True)
    with _opened(archive) as members:
        for name, content in members:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                shutil.copyfileobj(content, out, _CHUNK)
            if name == DESCRIPTION:
                check_description_size(archive, target.stat().st_size)
    return package_digest(folder)


def sha256(path: Path) -> str:
    """The SHA-256 of one file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(hashes: dict[str, str]) -> str:
    lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    """Name → file, of every file below the folder; what editors and systems hide is left out."""
    if not folder.is_dir():
        raise PackageError(f"{folder} is not a folder; a model package is one, or a model.tar.gz")
    found: dict[str, Path] = {}
    size = 0
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file():
            raise PackageError(
                f"{folder}: {name} is not a plain file; a package holds nothing else"
            )
        _check_name(folder, name)
        found[name], size = path, size + path.stat().st_size
        _check_size(folder, len(found), size)
    if DESCRIPTION in found:
        check_description_size(folder, found[DESCRIPTION].stat().st_size)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """Give the files below a folder that are not hidden, as they are found."""
    for number, (place, folders, files) in enumerate(os.walk(folder), 1):
        if number > MAX_FOLDERS:
            raise PackageError(
                f"{folder} holds more than {MAX_FOLDERS} folders; give a folder that holds a "
                "model package and nothing else"
            )
        folders[:] = sorted(name for name in folders if not _hidden((name,)))
        yield from (Path(place, name) for name in sorted(files) if not _hidden((name,)))


def check_description_size(package: Path | str, size: int) -> None:
    """Refuse an `mlm.json` that is too large to be one.

    Raises:
        PackageError: it has more than `MAX_DESCRIPTION_BYTES`.
    """
    if size > MAX_DESCRIPTION_BYTES:
        raise PackageError(
            f"{package}: {DESCRIPTION} has more than {MAX_DESCRIPTION_BYTES >> 20} MiB; "
            "leave out what describes no model"
        )


def _check_size(package: Path, files: int, size: int) -> None:
    if files > MAX_FILES:
        raise PackageError(
            f"{package} holds more than the {MAX_FILES} files that a package may have"
        )
    if size > MAX_BYTES:
        raise PackageError(
            f"{package} holds more than the {MAX_BYTES / 2**30:.3g} GiB that a package may have; "
            "leave out weights of a second format, or store them in half precision"
        )


def _check_name(package: Path, name: str) -> None:
    # Python reads what is no UTF-8 as lone surrogates, which cannot be written.
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise PackageError(f"{package}: the name of {name!r} is no UTF-8; rename the file")


def _hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in parts)


class _Bounded:
    """The tar within an archive, of which no more can be read than files and short headers.

    tarfile holds a header in memory, however long it says that it is.
    """

    def __init__(self, archive: Path, source: gzip.GzipFile) -> None:
        self.source = source
        self._archive = archive
        self._left = MAX_HEADER_BYTES

    def allow(self, size: int) -> None:
        """Let the content of a file be read, and what comes before the next."""
        self._left = size + MAX_HEADER_BYTES

    def read(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            PackageError: there are too many since the last file.
        """
        content = self.source.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise PackageError(
                f"{self._archive} has more than {MAX_HEADER_BYTES >> 20} MiB of names and notes "
                "about one file; pack it anew"
            )
        return content


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Name and content of each file of an archive, in the archive's order."""
    try:
        with (
            archive.open("rb") as raw,
            gzip.GzipFile(fileobj=raw) as unzipped,
        ):
            bounded = _Bounded(archive, unzipped)
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=_RECORD) as opened:  # type: ignore[call-overload] # it reads only
                yield _members(archive, opened, bounded)
    except FileNotFoundError:
        raise PackageError(absent(archive)) from None
    except (*_BROKEN, RecursionError, ValueError) as error:
        raise PackageError(
            f"{archive} is not a model.tar.gz that can be read: {error}; {_remedy(archive)}"
        ) from error


def _remedy(archive: Path) -> str:
    if archive.suffix in _WEIGHTS:
        return "weights alone are no package: `swath model init` makes one of them"
    return "copy it again, or pack the package's folder anew with tar -czf"


def _members(
    archive: Path, opened: tarfile.TarFile, bounded: _Bounded
) -> Iterator[tuple[str, IO[bytes]]]:
    count = total = 0
    for member in opened:
        name = PurePosixPath(member.name)
        # By hand: Debian 12's Python is older than tarfile's filters.
        outside = name.is_absolute() or ".." in name.parts
        count, total = count + 1, total + member.size
        _check_size(archive, count, total)
        bounded.allow(member.size)
        if not outside and (member.isdir() or _hidden(name.parts)):
            continue
        if outside or not member.isreg():
            raise PackageError(
                f"{archive}: {member.name} is not a plain file inside the package; pack it anew "
                "without that"
            )
        _check_name(archive, name.as_posix())
        content = opened.extractfile(member)
        if content is None:
            raise PackageError(f"{archive}: {member.name} cannot be read; pack it anew")
        yield name.as_posix(), content
    # The checksum over all contents comes after tar's padding. tarfile reads neither.
    if len(bounded.source.read(_MAX_PADDING + 1)) > _MAX_PADDING:
        raise PackageError(f"{archive} goes on after its last file; pack it anew")
