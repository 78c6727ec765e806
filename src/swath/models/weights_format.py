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

FileFormat = Literal[
    "onnx", "torchscript", "pt2", "checkpoint", "pickle", "safetensors", "pointer", "empty", "other"
]

_SIGNATURE_BYTES = 64
_PICKLE_SIGNATURE = b"\x80"
_ZIP_SIGNATURE = b"PK\x03\x04"
_LFS_SIGNATURE = b"version https://git-lfs"
_SAFETENSORS_JSON_OFFSET = (
    8  # safetensors: 8 bytes with the length of a JSON header, then the header
)
MAX_DIRECTORY_BYTES = 64 << 20
"""Maximum size in bytes of an archive's table of contents."""
_END_SIGNATURE, _END_RECORD_BYTES = b"PK\x05\x06", 22
_ZIP64_SIGNATURE, _ZIP64_RECORD_BYTES, _IN_ZIP64_RECORD = b"PK\x06\x06", 56, 0xFFFFFFFF
"""Signature and size of the ZIP64 end record (archives beyond 4 GiB), and the value of a 32-bit
field whose number is in that record."""
_MAX_ARCHIVE_END_BYTES = _END_RECORD_BYTES + (64 << 10) + _ZIP64_RECORD_BYTES + 20
"""Maximum size in bytes of a ZIP archive's end: the end record with the longest comment, the ZIP64
end record and its locator."""
_MAX_PICKLE_BYTES = 64 << 20
_MAX_ARCHIVE_ENTRIES = 200_000
_TENSOR_MODULES = ("torch", "collections", "_codecs", "numpy")
_EXPORT_REMEDIES = {
    "ultralytics": "export it with `yolo export model={name} format=onnx dynamic=True` "
    "(or YOLO('{name}').export(format='onnx', dynamic=True))",
    "state dict": "it holds numbers but no network: build the network in Python, "
    "load_state_dict(torch.load('{name}', weights_only=True)), then "
    "torch.onnx.export(network.eval(), torch.zeros(1, bands, size, size), 'model.onnx', "
    "dynamo=True)",
    "module": "load it where you trust its source, and export the network with "
    "torch.onnx.export(network.eval(), torch.zeros(1, bands, size, size), 'model.onnx', "
    "dynamo=True) or torch.export",
}


def detect_format(path: Path) -> FileFormat:
    """Return the format of a file, whatever its name; `other` if the bytes do not show it.

    ONNX is a protocol buffer without a signature: its first field is its version.
    """
    with path.open("rb") as file:
        signature = file.read(_SIGNATURE_BYTES)
    if not signature:
        return "empty"
    if signature.startswith(_ZIP_SIGNATURE):
        return _detect_archive_format(path)
    if signature.startswith(_LFS_SIGNATURE):
        return "pointer"
    if (
        signature[_SAFETENSORS_JSON_OFFSET : _SAFETENSORS_JSON_OFFSET + 1] == b"{"
        and int.from_bytes(signature[:_SAFETENSORS_JSON_OFFSET], "little") < 1 << 30
    ):
        return "safetensors"
    if signature[0:1] == _PICKLE_SIGNATURE and signature[1] <= 5:  # noqa: PLR2004 (the newest protocol)
        return "pickle"
    return "onnx" if signature[0] == 0x08 else "other"  # noqa: PLR2004 (field 1, a number)


def check_weights_file(path: Path, expected: str) -> None:
    """Raise an error if a weights file has another format than its name says.

    Args:
        path: Weights file.
        expected: Format by the file's name: `onnx`, `torchscript` or `pt2`.

    Raises:
        PackageError: The file has another format, or it is a broken or oversized archive. The
            message gives the remedy.
    """
    actual = detect_format(path)
    if actual in {expected, "other"}:
        return
    raise PackageError(f"{path} {_mismatch(path, actual, expected)}")


def _mismatch(path: Path, actual: FileFormat, expected: str) -> str:
    match actual:
        case "empty":
            return "is empty (0 bytes): copy it again"
        case "pointer":
            return "is a Git LFS pointer, not the file itself: run `git lfs pull`"
        case "safetensors":
            return (
                "is a safetensors file, which holds numbers but no network: export the network "
                "to ONNX or with torch.export"
            )
        case "checkpoint" | "pickle":
            origin = _checkpoint_origin(path) if actual == "checkpoint" else "module"
            return (
                f"is a pickle ({_PICKLE_DESCRIPTIONS[origin]}), a program that runs when it is "
                "loaded: swath never loads a pickle. To use it, "
                f"{_EXPORT_REMEDIES[origin].format(name=path.name)}"
            )
        case _:
            return (
                f"holds {_FORMAT_DESCRIPTIONS[actual]}, not {_FORMAT_DESCRIPTIONS[expected]}: "
                "rename the file to the suffix of its format"
            )


_PICKLE_DESCRIPTIONS = {
    "ultralytics": "a checkpoint of Ultralytics",
    "state dict": "a state dict",
    "module": "Python objects",
}
_FORMAT_DESCRIPTIONS = {
    "onnx": "an ONNX model (.onnx)",
    "torchscript": "TorchScript (.pt)",
    "pt2": "an exported program (.pt2)",
}


def _detect_archive_format(path: Path) -> FileFormat:
    names = _entry_names(path)
    paths = {name.partition("/")[2] for name in names} | set(names)
    if any(name.startswith("code/") for name in paths) and "constants.pkl" in paths:
        return "torchscript"
    if any(name.startswith("models/") for name in paths) or "archive_format" in paths:
        return "pt2"
    # torch 2.5 and older: a program whose tensors are pickles.
    if "serialized_exported_program.json" in paths:
        return "pt2"
    return "checkpoint" if "data.pkl" in paths else "other"


def _entry_names(path: Path) -> list[str]:
    if (size := _directory_bytes(path)) > MAX_DIRECTORY_BYTES:
        raise PackageError(
            f"{path} is an archive whose table of contents has {size >> 20} MiB, more than any "
            "model needs: export it again"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            expanded = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise PackageError(f"{path} is a broken archive ({error}): copy it again") from None
    if len(names) > _MAX_ARCHIVE_ENTRIES:
        raise PackageError(
            f"{path} is an archive of {len(names)} files, more than any model needs: export the "
            "model again"
        )
    if expanded > (limit := memory_limit()):
        raise PackageError(
            f"{path} has {expanded >> 20:,} MiB when unpacked, and this process may use "
            f"{limit >> 20:,} MiB of memory: give it more, or store the weights in half precision"
        )
    return names


def _directory_bytes(path: Path) -> int:
    """Return the size in bytes that an archive states for its table of contents; 0 if none.

    zipfile reads the table of contents into memory at once.
    https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - _MAX_ARCHIVE_END_BYTES))
        tail = file.read()
        end_at = tail.rfind(_END_SIGNATURE)
        if end_at < 0 or len(tail) < end_at + _END_RECORD_BYTES:
            return 0
        (size,) = struct.unpack_from("<I", tail, end_at + 12)
        zip64_at = tail.rfind(_ZIP64_SIGNATURE, 0, end_at)
        if zip64_at < 0 or len(tail) < zip64_at + _ZIP64_RECORD_BYTES:
            return int(size)
        (zip64_bytes,) = struct.unpack_from("<Q", tail, zip64_at + 40)
        return max(int(size) if size != _IN_ZIP64_RECORD else 0, int(zip64_bytes))


def _checkpoint_origin(path: Path) -> str:
    """Return the kind of a checkpoint, from the names that its pickle would import."""
    with zipfile.ZipFile(path) as archive:
        (entry,) = [i for i in archive.infolist() if i.filename.endswith("/data.pkl")][:1]
        with archive.open(entry) as file:
            pickled = file.read(_MAX_PICKLE_BYTES)
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
    only_tensors = all(
        name.startswith(_TENSOR_MODULES) and "torch.nn" not in name for name in imported
    )
    return "state dict" if only_tensors else "module"
