"""Check a model package: run each weights file in every installed library that can run it.

All runs must return the same outputs for a tile. Outputs must be finite and have the shapes that
`mlm.json` describes. A tile alone and the same tile in a batch must give the same outputs.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.errors import ModelOutputError, SwathError
from swath.models import packing
from swath.models.package import ModelPackage, Weights, load_package
from swath.models.runtimes.base import BatchedModel, Model, Runtime
from swath.models.runtimes.device import runs_on_gpu
from swath.models.runtimes.load import load_model
from swath.packaging import sample_tiles
from swath.packaging.compare_outputs import difference, read_answer
from swath.packaging.coverage import coverage_warnings

if TYPE_CHECKING:
    from swath.models.mlm import WeightsFormat
    from swath.models.runtimes.base import Outputs
    from swath.packaging.sample_tiles import Tile

TOLERANCE = 1e-3
"""Maximum difference, as a share of an output's largest number. Libraries sum in different
orders: OpenVINO and ONNX Runtime differ by up to about 1e-4."""
_TOLERANCES = {"float16": 1e-2, "bfloat16": 5e-2, "int8": 5e-2}
"""Tolerances for lower precision of the weights or the GPU: libraries round differently."""
OPTIMISED = "swath:optimised"
"""Item property that records how an optimized package was made and measured."""
_RUNTIMES: dict[WeightsFormat, tuple[tuple[Runtime, str], ...]] = {
    "onnx": (("onnx", "onnxruntime"), ("openvino", "openvino")),
    "torchscript": (("torch", "torch"),),
    "pt2": (("torch", "torch"),),
}
_TIMES = 3
_TOGETHER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Result of running one weights file in one library."""

    weights: str
    format: WeightsFormat
    runtime: str
    fault: str | None = None
    """Reason for the failure; None if the trial passes."""
    difference: float | None = None
    """Largest difference from the first trial's outputs; None if the model gave no outputs."""
    batch: str = ""
    """Batch size that the model accepts: `any`, or a fixed number of tiles."""
    milliseconds: float | None = None
    """Median time for one tile, in ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """Result of checking a package."""

    name: str
    digest: str
    tolerance: float
    tiles: int
    """Number of tiles in each trial."""
    trials: tuple[Trial, ...]
    warnings: tuple[str, ...] = ()
    """Warnings about scenes in which the package detects nothing, or detects objects everywhere."""

    @property
    def passed(self) -> bool:
        """True if every weights file ran and all outputs agree."""
        return not self.faults

    @property
    def faults(self) -> tuple[str, ...]:
        """Failures of the trials, one message each."""
        return tuple(
            f"{trial.weights} ({trial.runtime}): {trial.fault}"
            for trial in self.trials
            if trial.fault
        )


def check_package(
    uri: str | Path, *, images: Sequence[str] = (), tiles: int = 4, tolerance: float | None = None
) -> CheckReport:
    """Run all weights of a package on test tiles and compare their outputs.

    Args:
        uri: Folder, local `model.tar.gz` or S3 URI of a package.
        images: Scenes to cut tiles from, in addition to one black tile and two tiles of noise.
        tiles: Number of tiles to cut from all scenes together.
        tolerance: Maximum difference between outputs, as `difference` defines it. The default is
            TOLERANCE, or more for weights of lower precision.

    Raises:
        PackageError: The package is missing or contradicts itself, or a checksum does not match.
        SceneError: A scene cannot be read, or lacks a band.
    """
    package = load_package(uri)
    description = package.description
    if tolerance is None:
        tolerance = _tolerance(package)
    scenes = [
        (uri, list(sample_tiles.of_scenes([uri], description, count=count)))
        for uri, count in sample_tiles.shared_out(images, tiles)
    ]
    empty = [
        sample_tiles.black(description),
        *(sample_tiles.noise(description, seed=seed) for seed in range(2)),
    ]
    shown = [*empty, *(tile for _, cut in scenes for tile in cut)]
    first: list[Outputs] | None = None
    trials = []
    for weights in package.weights:
        for trial, answers in _trials(package, weights, shown, first, tolerance):
            trials.append(trial)
            first = first or answers
    return CheckReport(
        name=description.name,
        digest=package.digest,
        tolerance=tolerance,
        tiles=len(shown),
        trials=tuple(trials),
        warnings=tuple(_warnings(package, first or [], len(empty), scenes)),
    )


def _warnings(
    package: ModelPackage,
    answers: Sequence[Outputs],
    empty: int,
    scenes: Sequence[tuple[str, Sequence[Tile]]],
) -> Iterator[str]:
    """Yield warnings about the first weights' outputs for empty tiles and for tiles of scenes."""
    description = package.description
    yield from coverage_warnings("black and noise", answers[:empty], description, empty=True)
    at = empty
    for uri, cut in scenes:
        yield from coverage_warnings(uri, answers[at : at + len(cut)], description)
        at += len(cut)


def _trials(
    package: ModelPackage,
    weights: Weights,
    shown: Sequence[Tile],
    first: Sequence[Outputs] | None,
    tolerance: float,
) -> list[tuple[Trial, list[Outputs] | None]]:
    """Run one weights file in each installed library; report a fault if none is installed."""
    ways = [way for way, module in _RUNTIMES[weights.format] if importlib.util.find_spec(module)]
    if not ways:
        needed = " or ".join(module for _, module in _RUNTIMES[weights.format])
        trial = _trial(weights, "none")
        return [(dataclasses.replace(trial, fault=f"not tried: install {needed}"), None)]
    found = []
    for way in ways:
        trial, answers = _try(package, weights, way, shown)
        if answers and first and trial.fault is None:
            trial = _compared(trial, answers, first, package, tolerance)
        first = first or answers
        found.append((trial, answers))
    return found


def _trial(weights: Weights, way: str) -> Trial:
    return Trial(weights=weights.path.name, format=weights.format, runtime=way)


def _try(
    package: ModelPackage, weights: Weights, way: Runtime, shown: Sequence[Tile]
) -> tuple[Trial, list[Outputs] | None]:
    """Load the weights and run them on the tiles, one by one and as a batch."""
    trial = _trial(weights, way)
    alone = dataclasses.replace(package, weights=(weights,))
    try:
        model = load_model(alone, runtime=way, format=weights.format)
        answers = [answer for tile in shown for answer in model([tile])]
        for answer in answers:
            _check_answer(answer, package)
        trial = dataclasses.replace(
            trial,
            difference=0.0,
            batch=_check_batch(model, shown, answers, package),
            milliseconds=milliseconds(model, shown[-1]),
        )
    except SwathError as error:
        return dataclasses.replace(trial, fault=str(error)), None
    except Exception as error:  # noqa: BLE001 (the libraries' errors have no common base)
        reason = str(error).strip().partition("\n")[0]
        return dataclasses.replace(trial, fault=f"{type(error).__name__}: {reason}"), None
    return trial, answers


def _compared(
    trial: Trial,
    answers: Sequence[Outputs],
    first: Sequence[Outputs],
    package: ModelPackage,
    tolerance: float,
) -> Trial:
    """Return the trial with its difference from the first trial's outputs."""
    differs = max(
        difference(theirs, ours, package.description)
        for theirs, ours in zip(first, answers, strict=True)
    )
    fault = None
    if not differs <= tolerance:
        fault = (
            f"its answers differ from the first weights' by {differs:.3g}, more than "
            f"{tolerance:g}: were they exported from one network?"
        )
    return dataclasses.replace(trial, difference=differs, fault=fault)


def _check_answer(answer: Outputs, package: ModelPackage) -> None:
    """Raise ModelOutputError unless outputs are finite, decodable and of the described shapes."""
    described = _described_shapes(package)
    for place, role in enumerate(package.description.outputs):
        if role is None:
            continue
        if place >= len(answer):
            break  # read_answer raises the error
        output = np.asarray(answer[place])
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            raise ModelOutputError(f"{role} holds NaN or infinity")
        shape = described[place][1:] if package.description.batched else described[place]
        fits = len(shape) == output.ndim and all(
            length in {-1, found} for length, found in zip(shape, output.shape, strict=True)
        )
        if not fits:
            raise ModelOutputError(
                f"{role} has shape {list(output.shape)} for one tile; mlm:output describes {shape}"
            )
    read_answer(answer, package.description)


def _described_shapes(package: ModelPackage) -> list[list[int]]:
    return [entry["result"]["shape"] for entry in _properties(package)["mlm:output"]]


def _tolerance(package: ModelPackage) -> float:
    """Return the tolerance for the precision of the weights and, on a GPU, of the computation."""
    optimised = _properties(package).get(OPTIMISED, {}).get("precision")
    computed = package.description.precision if runs_on_gpu() else "float32"
    return max(_TOLERANCES.get(precision, TOLERANCE) for precision in (optimised, computed))


def _properties(package: ModelPackage) -> dict[str, Any]:
    properties: dict[str, Any] = json.loads(
        (package.folder / packing.DESCRIPTION_FILE).read_bytes()
    )["properties"]
    return properties


def _check_batch(
    model: Model, shown: Sequence[Tile], answers: Sequence[Outputs], package: ModelPackage
) -> str:
    """Return the accepted batch size; check that batching does not change a tile's outputs."""
    if not package.description.batched:
        return "1"
    if isinstance(model, BatchedModel) and model.has_static_batch:
        return str(model.batch_size)
    tolerance = _tolerance(package)
    together = model(list(shown[:_TOGETHER]))
    for alone, among in zip(answers, together, strict=False):
        differs = difference(alone, among, package.description)
        if not differs <= tolerance:
            raise ModelOutputError(
                f"a tile's answer differs by {differs:.3g} when it is shown with others: "
                "the network mixes the tiles of a batch"
            )
    return "any"


def milliseconds(model: Model, tile: Tile) -> float:
    """Return the median time of a few calls with one tile, in ms; the model is warm already."""
    taken = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        model([tile])
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken)
