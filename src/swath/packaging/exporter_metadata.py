"""Read the exporter's metadata, inside a weights file and beside it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from swath.errors import PackageError

_METADATA_ENTRY = "/extra/config.txt"
"""Entry of a TorchScript archive in which Ultralytics stores its metadata."""
_MAX_METADATA_BYTES = 1 << 20


def metadata_tile_size(metadata: Mapping[str, str]) -> int | None:
    """Return the tile size in px from Ultralytics' `imgsz` [rows, cols]; None if not square."""
    try:
        rows, cols = json.loads(metadata["imgsz"])
    except (KeyError, ValueError, TypeError):
        return None
    return int(rows) if rows == cols else None


def count_parameters(path: Path) -> int | None:
    """Return the number of parameters of an ONNX model; None if onnx is not installed."""
    if importlib.util.find_spec("onnx") is None:
        return None
    onnx = importlib.import_module("onnx")
    model = onnx.load(path, load_external_data=False)
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    parameters = [tensor for tensor in model.graph.initializer if tensor.data_type in floats]
    return sum(int(np.prod(tensor.dims)) for tensor in parameters)


def torchscript_metadata(path: Path) -> dict[str, str]:
    """Return the metadata that Ultralytics writes into TorchScript; empty if there is none."""
    with zipfile.ZipFile(path) as archive:
        entries = [
            entry for entry in archive.infolist() if entry.filename.endswith(_METADATA_ENTRY)
        ]
        text = archive.read(entries[0])[:_MAX_METADATA_BYTES] if entries else b"{}"
    try:
        notes = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(notes, dict):
        return {}
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in notes.items()
    }


def read_config_files(path: Path) -> dict[str, Any]:
    """Return the JSON files that transformers writes beside the weights, by file name.

    Raises:
        PackageError: A file is not valid JSON.
    """
    entries = {}
    for name in ("config.json", "preprocessor_config.json"):
        file = path.parent / name
        if file.is_file() and file.stat().st_size <= _MAX_METADATA_BYTES:
            try:
                entries[name] = json.loads(file.read_bytes())
            except ValueError as error:
                raise PackageError(f"{file} is not JSON: {error}") from None
    return entries
