"""Read TorchScript and torch.export files without unpickling objects.

torch reads TorchScript without pickle. The parts of a `.pt2` archive that torch would unpickle are
read with `weights_only`, or refused. A file names the device that it was saved on: a traced module
names it wherever it creates a tensor, and an exported program names it everywhere. Both are read as
if they had been saved on the device that runs them.
"""

from __future__ import annotations

import io
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export.passes import move_to_device_pass

from swath.errors import PackageError

# Parts that a .pt2 archive may have. Pickled objects and compiled libraries are not among them.
# https://docs.pytorch.org/docs/stable/export/pt2_archive.html
_ALLOWED_PARTS = re.compile(
    r"[^/]+/(archive_format|archive_version|version|byteorder|\.data/[^/]+|models/[^/]+\.json"
    r"|data/weights/[^/]+|data/constants/(tensor_[^/]+|[^/]+_config\.json)"
    r"|data/sample_inputs/[^/]+|extra/.*)"
)
_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
# Devices in TorchScript's code, and in the graph and the tables of an exported program.
_DEVICE_IN_CODE = re.compile(rb'torch\.device\("(cpu|cuda(:\d+)?)"\)')
_DEVICE_IN_JSON = re.compile(rb'"type":\s*"cuda",\s*"index":\s*(\d+|null)')
_SAMPLE_INPUTS = "/data/sample_inputs/"

TorchFile = str | io.BytesIO


def read_torchscript(path: Path, device: torch.device) -> Any:
    """Load a TorchScript module on a device, where it also creates its own tensors.

    Raises:
        RuntimeError: torch cannot read the file.
    """
    device_code = f'torch.device("{device}")'.encode()

    def rewrite(name: str, content: bytes) -> bytes:
        return _DEVICE_IN_CODE.sub(device_code, content) if name.endswith(".py") else content

    def names_other_device(content: bytes) -> bool:
        return any(match[0] != device_code for match in _DEVICE_IN_CODE.finditer(content))

    jit: Any = torch.jit
    with warnings.catch_warnings():
        # torch recommends .pt2 instead of TorchScript, but existing packages use TorchScript.
        warnings.simplefilter("ignore", DeprecationWarning)
        source = _rewrite_for_device(path, ".py", names_other_device, rewrite)
        return jit.load(source, map_location=device).eval()


def read_pt2(path: Path) -> torch.export.ExportedProgram:
    """Read an exported program, as if it had been saved on the CPU if there is no GPU.

    Raises:
        PackageError: The archive contains pickled objects or compiled libraries.
        Exception: torch cannot read the file; torch's errors have no common base class.
    """
    with zipfile.ZipFile(path) as archive:
        disallowed = [name for name in archive.namelist() if not _ALLOWED_PARTS.fullmatch(name)]
    if disallowed:
        raise PackageError(
            f"{path} contains {disallowed[0]}; swath loads weights and graphs, but no pickled "
            "objects and no compiled code: save it with torch.export.save of torch 2.8 or later"
        )

    def rewrite(name: str, content: bytes) -> bytes:
        if _SAMPLE_INPUTS in name:
            return b""  # tensors on the GPU, which are not needed
        if not name.endswith(".json"):
            return content
        return _DEVICE_IN_JSON.sub(b'"type": "cpu", "index": null', content)

    def names_other_device(content: bytes) -> bool:
        return not torch.cuda.is_available() and _DEVICE_IN_JSON.search(content) is not None

    with _weights_only():
        return torch.export.load(_rewrite_for_device(path, ".json", names_other_device, rewrite))


def to_module(program: torch.export.ExportedProgram, device: torch.device) -> torch.nn.Module:
    """Return a program's module on a device, usable in any precision.

    The exporter adds an assertion before each cast that the tensor is float32, as it was at export.
    Under autocast it may have another type, so the assertions are removed.
    """
    moved = move_to_device_pass(program, device)
    for module in moved.graph_module.modules():
        if not isinstance(module, torch.fx.GraphModule):
            continue
        for node in list(module.graph.nodes):
            if node.target is torch.ops.aten._assert_tensor_metadata.default:  # noqa: SLF001
                module.graph.erase_node(node)
        module.recompile()
    network: torch.nn.Module = moved.module()
    return network


def program_inputs(
    program: torch.export.ExportedProgram,
) -> list[tuple[str, list[int | None], str]]:
    """Return the name, shape and dtype of each input; None in a shape means any length."""
    values = {
        node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"
    }
    return [
        (
            name,
            [axis if isinstance(axis, int) else None for axis in values[name].shape],
            str(values[name].dtype),
        )
        for name in program.graph_signature.user_inputs
    ]


def _rewrite_for_device(
    path: Path,
    suffix: str,
    names_other_device: Callable[[bytes], bool],
    rewrite: Callable[[str, bytes], bytes],
) -> TorchFile:
    """Return a file's path, or a rewritten copy in memory if it names another device.

    Args:
        path: Path of the archive.
        suffix: Suffix of the parts that may name a device.
        names_other_device: Function that returns whether the content of a part names another
            device.
        rewrite: Function that returns the new content of a part, from its name and content.
    """
    with zipfile.ZipFile(path) as archive:
        parts = [name for name in archive.namelist() if name.endswith(suffix)]
        if not any(names_other_device(archive.read(name)) for name in parts):
            return str(path)
        copy = io.BytesIO()
        with zipfile.ZipFile(copy, "w") as target:
            for entry in archive.infolist():
                target.writestr(entry.filename, rewrite(entry.filename, archive.read(entry)))
    copy.seek(0)
    return copy


@contextmanager
def _weights_only() -> Iterator[None]:
    """Restrict `torch.load` to tensors inside the `with` block, whoever calls it."""
    previous = os.environ.get(_WEIGHTS_ONLY)
    os.environ[_WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if previous is None:
            del os.environ[_WEIGHTS_ONLY]
        else:
            os.environ[_WEIGHTS_ONLY] = previous
