"""Detect the format of a weights file from its first bytes and its table of contents.

Nothing is loaded or unpickled, since a pickle is a program that runs when it is read. A pickle is
recognized by its bytes and refused. The error says how to export a file that can be run.
"""

from __future__ import annotations

import os
import pickletools
import struct
import zipfile
from pathlib import Path
from typing import Literal

from swath.errors import PackageError
from swath.resource_limits import memory_limit

Kind = Literal[
    "onnx", "torchscript", "pt2", "checkpoint", "pickle", "safetensors", "pointer", "empty", "other"
]

_HEAD = 64
_PICKLE = b"\x80"
_ZIP = b"PK\x03\x04"
_POINTER = b"version https://git-lfs"
_JSON_AT = 8  # safetensors: 8 bytes with the length of a JSON header, then the header
MAX_DIRECTORY_BYTES = 64 << 20
"""Maximum size in bytes of an archive's table of contents."""
_END_MARK, _END_SIZE = b"PK\x05\x06", 22
_WIDE_MARK, _WIDE_SIZE, _IS_WIDE = b"PK\x06\x06", 56, 0xFFFFFFFF
"""Signature and size of the ZIP64 end record (archives beyond 4 GiB), and the value of a 32-bit
field whose number is in that record."""
_END_BYTES = _END_SIZE + (64 << 10) + _WIDE_SIZE + 20
"""Maximum size in bytes of a ZIP archive's end: the end record with the longest comment, the ZIP64
end record and its locator."""
_MOST_LISTED = 64 << 20
_MOST_NAMES = 200_000
_TENSORS = ("torch", "collections", "_codecs", "numpy")
_EXPORTS = {
    "ultralytics": "export it with `yolo export model={name} format=onnx dynamic=True` "
    "(or YOLO('{name}').export(format='onnx', dynamic=True))",
    "state dict": "it holds numbers and no network: build the network in Python, "
    "load_state_dict(torch.load('{name}', weights_only=True)), then "
    "torch.onnx.export(network.eval(), torch.zeros(1, bands, size, size), 'model.onnx', "
    "dynamo=True)",
    "module": "load it where you trust it, and export the network with "
    "torch.onnx.export(network.eval(), torch.zeros(1, bands, size, size), 'model.onnx', "
    "dynamo=True) or torch.export",
}


def kind_of(path: Path) -> Kind:
    """Return the format of a file, whatever its name; `other` if the bytes do not show it.

    ONNX is a protocol buffer without a signature: its first field is its version.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "empty"
    if head.startswith(_ZIP):
        return _kind_of_archive(path)
    if head.startswith(_POINTER):
        return "pointer"
    if (
        head[_JSON_AT : _JSON_AT + 1] == b"{"
        and int.from_bytes(head[:_JSON_AT], "little") < 1 << 30
    ):
        return "safetensors"
    if head[0:1] == _PICKLE and head[1] <= 5:  # noqa: PLR2004 (the newest protocol)
        return "pickle"
    return "onnx" if head[0] == 0x08 else "other"  # noqa: PLR2004 (field 1, a number)


def check_weights_file(path: Path, expected: str) -> None:
    """Raise an error if a weights file has another format than its name says.

    Args:
        path: Weights file.
        expected: Format by the file's name: `onnx`, `torchscript` or `pt2`.

    Raises:
        PackageError: The file has another format, or it is a broken or oversized archive. The
            message gives the remedy.
    """
    kind = kind_of(path)
    if kind in {expected, "other"}:
        return
    raise PackageError(f"{path} {_reason(path, kind, expected)}")


def _reason(path: Path, kind: Kind, expected: str) -> str:
    match kind:
        case "empty":
            return "is empty (0 bytes): copy it again"
        case "pointer":
            return "is a pointer of Git LFS, not the file itself: run `git lfs pull`"
        case "safetensors":
            return (
                "is a safetensors file, which holds numbers and no network: export the network "
                "to ONNX or with torch.export"
            )
        case "checkpoint" | "pickle":
            made = _maker(path) if kind == "checkpoint" else "module"
            return (
                f"is a pickle ({_PICKLED[made]}), which is a program that runs when it is read: "
                f"swath loads none. To use it, {_EXPORTS[made].format(name=path.name)}"
            )
        case _:
            return f"holds {_WORDS[kind]}, not {_WORDS[expected]}: name the file by what it is"


_PICKLED = {
    "ultralytics": "a checkpoint of Ultralytics",
    "state dict": "a state dict",
    "module": "Python objects",
}
_WORDS = {
    "onnx": "an ONNX model (.onnx)",
    "torchscript": "TorchScript (.pt)",
    "pt2": "an exported program (.pt2)",
}


def _kind_of_archive(path: Path) -> Kind:
    names = _names(path)
    tails = {name.partition("/")[2] for name in names} | set(names)
    if any(name.startswith("code/") for name in tails) and "constants.pkl" in tails:
        return "torchscript"
    if any(name.startswith("models/") for name in tails) or "archive_format" in tails:
        return "pt2"
    # torch 2.5 and older: a program whose tensors are pickles.
    if "serialized_exported_program.json" in tails:
        return "pt2"
    return "checkpoint" if "data.pkl" in tails else "other"


def _names(path: Path) -> list[str]:
    if (size := _directory_bytes(path)) > MAX_DIRECTORY_BYTES:
        raise PackageError(
            f"{path} is an archive whose table of contents has {size >> 20} MiB, which no model "
            "has: export it anew"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            expanded = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise PackageError(f"{path} is a broken archive ({error}): copy it again") from None
    if len(names) > _MOST_NAMES:
        raise PackageError(
            f"{path} is an archive of {len(names)} parts, which no model has: export it anew"
        )
    if expanded > (most := memory_limit()):
        raise PackageError(
            f"{path} has {expanded >> 20:,} MiB when it is unpacked, and this process may use "
            f"{most >> 20:,} MiB of memory: give it more, or store the weights in half precision"
        )
    return names


def _directory_bytes(path: Path) -> int:
    """Return the size in bytes that an archive states for its table of contents; 0 if none.

    zipfile reads the table of contents into memory at once.
    https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - _END_BYTES))
        tail = file.read()
        at = tail.rfind(_END_MARK)
        if at < 0 or len(tail) < at + _END_SIZE:
            return 0
        (size,) = struct.unpack_from("<I", tail, at + 12)
        wide = tail.rfind(_WIDE_MARK, 0, at)
        if wide < 0 or len(tail) < wide + _WIDE_SIZE:
            return int(size)
        (wide_size,) = struct.unpack_from("<Q", tail, wide + 40)
        return max(int(size) if size != _IS_WIDE else 0, int(wide_size))


def _maker(path: Path) -> str:
    """Return the kind of a checkpoint, from the names that its pickle would import."""
    with zipfile.ZipFile(path) as archive:
        (entry,) = [i for i in archive.infolist() if i.filename.endswith("/data.pkl")][:1]
        with archive.open(entry) as part:
            pickled = part.read(_MOST_LISTED)
    try:
        imported = {
            str(argument)
            for code, argument, _ in pickletools.genops(pickled)
            if code.name == "GLOBAL"
        }
    except ValueError:
        return "module"
    if any(name.startswith("ultralytics") for name in imported):
        return "ultralytics"
    plain = all(name.startswith(_TENSORS) and "torch.nn" not in name for name in imported)
    return "state dict" if plain else "module"
