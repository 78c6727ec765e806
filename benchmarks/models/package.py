"""Model packages of the detectors, made once and kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from benchmarks import scenes
from benchmarks.models import onnx_network
from benchmarks.models.network import Architecture, Weights, make_weights
from benchmarks.report import say
from benchmarks.texture import Landscape

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE = 512
"""px"""
OVERLAP = 64
THRESHOLD = 0.5
DETECTIONS = 30
"""Approximate number of a tile's candidates above the threshold."""
_SPREAD = 1.5
"""The standard deviation of the scores' logits."""
_APART = 0.01
"""px that the two forms of a detector may differ by."""
_MADE = 2
"""To be raised when the same package is made otherwise."""


@dataclass(frozen=True, slots=True)
class Packages:
    """One detector, ready to be run in several ways."""

    folder: Path

    @property
    def onnx(self) -> str:
        """The folder of a package with `.onnx` weights."""
        return str(self.folder / "onnx")

    @property
    def pt2(self) -> str:
        """The folder of a package with `.pt2` weights."""
        return str(self.folder / "pt2")

    @property
    def weights(self) -> str:
        """The bare weights, `.npz`."""
        return str(self.folder / "weights.npz")


def make_packages(architecture: Architecture, side: int = TILE) -> Packages:
    """Return the packages of a detector; make them if they are missing.

    Raises:
        RuntimeError: `.onnx` and `.pt2` do not agree.
    """
    packages = Packages(scenes.CACHE / "models" / f"{architecture.name}_{side}_v{_MADE}")
    if not packages.folder.exists():
        say(f"  making the model packages of {architecture.name} parameters")
        partial = packages.folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        _make(architecture, side, Packages(partial))
        partial.rename(packages.folder)
    return packages


def _make(architecture: Architecture, side: int, packages: Packages) -> None:
    for folder in (packages.onnx, packages.pt2):
        Path(folder).mkdir(parents=True)
    weights, tiles = make_weights(architecture), sample_tiles(side)
    calibrate(architecture, weights, tiles)
    np.savez(packages.weights, **weights)  # type: ignore[arg-type]
    onnx, pt2 = Path(packages.onnx, "model.onnx"), Path(packages.pt2, "model.pt2")
    onnx.write_bytes(onnx_network.build(architecture, weights, side))
    _write_pt2(architecture, weights, tiles, pt2)
    _compare(onnx, pt2, tiles[:2])
    for weights_file in (onnx, pt2):
        text = json.dumps(_description(architecture, weights_file, side))
        weights_file.with_name("mlm.json").write_text(text)


def sample_tiles(side: int, count: int = 8) -> NDArray[np.float32]:
    """Tiles of a drawn landscape as the detectors take them, float32 (count, 3, side, side)."""
    band = Landscape("rgb8", side * count).draw(0)[:side]
    tiles = np.stack([band[:, start * side :][:, :side] for start in range(count)])
    return np.ascontiguousarray(np.moveaxis(tiles, -1, 1), np.float32) / np.float32(255)


def calibrate(architecture: Architecture, weights: Weights, tiles: NDArray[np.float32]) -> None:
    """Scale the head's score, so that `DETECTIONS` a tile reach the threshold; in place."""
    side = tiles.shape[-1]
    session = _session(onnx_network.build(architecture, weights, side))
    found = np.concatenate([session.run(None, {"image": tile[None]})[0] for tile in tiles])
    peaks = np.sort(_logit(found[:, 4][found[:, 4] > 0]))
    scale = _SPREAD / peaks.std()
    wanted = peaks[-min(len(peaks), DETECTIONS * len(tiles))]
    weights["head.weight"][0] *= scale
    weights["head.bias"][0] = -wanted * scale


def _logit(share: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = np.clip(share.astype(np.float64), 1e-9, 1 - 1e-9)
    logit: NDArray[np.float64] = np.log(exact / (1 - exact))
    return logit


def _session(model: bytes) -> Any:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def _write_pt2(
    architecture: Architecture, weights: Weights, tiles: NDArray[np.float32], path: Path
) -> None:
    # A process that makes no package needs no torch.
    from benchmarks.models.torch_network import Detector, export  # noqa: PLC0415

    side = tiles.shape[-1]
    export(Detector(architecture, weights, side), side, path)


def _compare(onnx: Path, pt2: Path, tiles: NDArray[np.float32]) -> None:
    """Hold one form against the other."""
    import torch  # noqa: PLC0415

    session, module = _session(onnx.read_bytes()), torch.export.load(str(pt2)).module()
    for tile in tiles:
        with torch.inference_mode():
            ours = module(torch.from_numpy(tile[None])).numpy()
        apart = np.abs(session.run(None, {"image": tile[None]})[0][:, :4] - ours[:, :4]).max()
        if apart > _APART:
            raise RuntimeError(f"{onnx} and {pt2} differ by {apart} px")


def _description(architecture: Architecture, weights: Path, side: int) -> dict[str, Any]:
    bands = ["red", "green", "blue"]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": ["https://stac-extensions.github.io/mlm/v1.6.0/schema.json"],
        "id": f"bench-{architecture.name}",
        "geometry": None,
        "properties": {
            "datetime": "2026-01-01T00:00:00Z",
            "mlm:name": f"bench-{architecture.name}",
            "mlm:architecture": "residual encoder, one step up",
            "mlm:tasks": ["object-detection"],
            "mlm:input": [
                {
                    "name": "image",
                    "bands": bands,
                    "input": {
                        "shape": [-1, len(bands), side, side],
                        "dim_order": ["batch", "bands", "height", "width"],
                        "data_type": "float32",
                    },
                    "value_scaling": [{"type": "scale", "value": 255}],
                }
            ],
            "mlm:output": [
                {
                    "name": "pred",
                    "tasks": ["object-detection"],
                    "result": {
                        "shape": [-1, 5, -1],
                        "dim_order": ["batch", "channel", "candidate"],
                        "data_type": "float32",
                    },
                    "classification:classes": [{"value": 0, "name": "thing"}],
                }
            ],
            "mlm:hyperparameters": {
                "overlap": OVERLAP,
                "score_threshold": THRESHOLD,
                "iou_threshold": 0.5,
                "box_format": "cxcywh",
            },
        },
        "links": [],
        "assets": {
            "weights": {
                "href": weights.name,
                "roles": ["mlm:model"],
                "file:checksum": "1220" + hashlib.sha256(weights.read_bytes()).hexdigest(),
            }
        },
    }
