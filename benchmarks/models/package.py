"""Write the detectors' model packages into the cache folder."""

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
from benchmarks.progress import print_line
from benchmarks.texture import Landscape

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE_SIZE = 512
"""Tile size in px."""
OVERLAP = 64
SCORE_THRESHOLD = 0.5
DETECTIONS_PER_TILE = 30
"""Approximate number of a tile's candidates above the threshold."""
_LOGIT_STDDEV = 1.5
"""Standard deviation of the scores' logits."""
_MAX_DIFFERENCE_PX = 0.01
"""Maximum difference in px between the boxes of a detector's two formats."""
_VERSION = 2
"""Version of the cached packages; increment it when the code below changes them."""


@dataclass(frozen=True, slots=True)
class DetectorPackages:
    """Packages of one detector in all formats."""

    folder: Path

    @property
    def onnx(self) -> str:
        """Folder of the package with `.onnx` weights."""
        return str(self.folder / "onnx")

    @property
    def pt2(self) -> str:
        """Folder of the package with `.pt2` weights."""
        return str(self.folder / "pt2")

    @property
    def weights(self) -> str:
        """Path of the weights as `.npz`."""
        return str(self.folder / "weights.npz")


def make_packages(architecture: Architecture, side: int = TILE_SIZE) -> DetectorPackages:
    """Return the packages of a detector; make them if they are missing.

    Raises:
        RuntimeError: The outputs of `.onnx` and `.pt2` differ.
    """
    packages = DetectorPackages(
        scenes.CACHE_FOLDER / "models" / f"{architecture.name}_{side}_v{_VERSION}"
    )
    if not packages.folder.exists():
        print_line(f"  making the model packages of {architecture.name} parameters")
        partial = packages.folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        _write_packages(architecture, side, DetectorPackages(partial))
        partial.rename(packages.folder)
    return packages


def _write_packages(architecture: Architecture, side: int, packages: DetectorPackages) -> None:
    for folder in (packages.onnx, packages.pt2):
        Path(folder).mkdir(parents=True)
    weights, tiles = make_weights(architecture), sample_tiles(side)
    calibrate_scores(architecture, weights, tiles)
    np.savez(packages.weights, **weights)  # type: ignore[arg-type]
    onnx, pt2 = Path(packages.onnx, "model.onnx"), Path(packages.pt2, "model.pt2")
    onnx.write_bytes(onnx_network.build(architecture, weights, side))
    _write_pt2(architecture, weights, tiles, pt2)
    _check_equal_outputs(onnx, pt2, tiles[:2])
    for weights_file in (onnx, pt2):
        text = json.dumps(_build_mlm(architecture, weights_file, side))
        weights_file.with_name("mlm.json").write_text(text)


def sample_tiles(side: int, count: int = 8) -> NDArray[np.float32]:
    """Return tiles of a drawn landscape as the detectors' input, (count, 3, side, side)."""
    band = Landscape("rgb8", side * count).draw_band(0)[:side]
    tiles = np.stack([band[:, start * side :][:, :side] for start in range(count)])
    return np.ascontiguousarray(np.moveaxis(tiles, -1, 1), np.float32) / np.float32(255)


def calibrate_scores(
    architecture: Architecture, weights: Weights, tiles: NDArray[np.float32]
) -> None:
    """Scale the head's score in place, so that a tile has `DETECTIONS_PER_TILE` detections."""
    side = tiles.shape[-1]
    session = _session(onnx_network.build(architecture, weights, side))
    found = np.concatenate([session.run(None, {"image": tile[None]})[0] for tile in tiles])
    peaks = np.sort(_logit(found[:, 4][found[:, 4] > 0]))
    scale = _LOGIT_STDDEV / peaks.std()
    threshold_logit = peaks[-min(len(peaks), DETECTIONS_PER_TILE * len(tiles))]
    weights["head.weight"][0] *= scale
    weights["head.bias"][0] = -threshold_logit * scale


def _logit(probability: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = np.clip(probability.astype(np.float64), 1e-9, 1 - 1e-9)
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


def _check_equal_outputs(onnx: Path, pt2: Path, tiles: NDArray[np.float32]) -> None:
    """Check that both formats have the same outputs."""
    import torch  # noqa: PLC0415

    session, module = _session(onnx.read_bytes()), torch.export.load(str(pt2)).module()
    for tile in tiles:
        with torch.inference_mode():
            ours = module(torch.from_numpy(tile[None])).numpy()
        difference = np.abs(session.run(None, {"image": tile[None]})[0][:, :4] - ours[:, :4]).max()
        if difference > _MAX_DIFFERENCE_PX:
            raise RuntimeError(f"{onnx} and {pt2} differ by {difference} px")


def _build_mlm(architecture: Architecture, weights: Path, side: int) -> dict[str, Any]:
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
                "score_threshold": SCORE_THRESHOLD,
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
