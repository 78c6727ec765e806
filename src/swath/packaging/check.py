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
from swath.packaging.compare_outputs import decode_outputs, difference
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
OPTIMIZED_PROPERTY = "swath:optimized"
"""Item property that records how an optimized package was made and measured."""
_RUNTIMES: dict[WeightsFormat, tuple[tuple[Runtime, str], ...]] = {
    "onnx": (("onnx", "onnxruntime"), ("openvino", "openvino")),
    "torchscript": (("torch", "torch"),),
    "pt2": (("torch", "torch"),),
}
_TIMED_CALLS = 3
_BATCHED_TILES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Result of running one weights file in one library."""

    weights: str
    format: WeightsFormat
    runtime: str
    failure: str | None = None
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
        return not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """Failures of the trials, one message each."""
        return tuple(
            f"{trial.weights} ({trial.runtime}): {trial.failure}"
            for trial in self.trials
            if trial.failure
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
        (uri, list(sample_tiles.from_scenes([uri], description, count=count)))
        for uri, count in sample_tiles.split_tile_count(images, tiles)
    ]
    empty_tiles = [
        sample_tiles.black(description),
        *(sample_tiles.noise(description, seed=seed) for seed in range(2)),
    ]
    test_tiles = [*empty_tiles, *(tile for _, scene_tiles in scenes for tile in scene_tiles)]
    first: list[Outputs] | None = None
    trials = []
    for weights in package.weights:
        for trial, outputs in _trials(package, weights, test_tiles, first, tolerance):
            trials.append(trial)
            first = first or outputs
    return CheckReport(
        name=description.name,
        digest=package.digest,
        tolerance=tolerance,
        tiles=len(test_tiles),
        trials=tuple(trials),
        warnings=tuple(_warnings(package, first or [], len(empty_tiles), scenes)),
    )


def _warnings(
    package: ModelPackage,
    outputs: Sequence[Outputs],
    empty_count: int,
    scenes: Sequence[tuple[str, Sequence[Tile]]],
) -> Iterator[str]:
    """Yield warnings about the first weights' outputs for empty tiles and for tiles of scenes."""
    description = package.description
    yield from coverage_warnings("black and noise", outputs[:empty_count], description, empty=True)
    start = empty_count
    for uri, scene_tiles in scenes:
        yield from coverage_warnings(uri, outputs[start : start + len(scene_tiles)], description)
        start += len(scene_tiles)


def _trials(
    package: ModelPackage,
    weights: Weights,
    test_tiles: Sequence[Tile],
    first: Sequence[Outputs] | None,
    tolerance: float,
) -> list[tuple[Trial, list[Outputs] | None]]:
    """Run one weights file in each installed library; report a failure if none is installed."""
    runtimes = [
        runtime for runtime, module in _RUNTIMES[weights.format] if importlib.util.find_spec(module)
    ]
    if not runtimes:
        needed = " or ".join(module for _, module in _RUNTIMES[weights.format])
        trial = _trial(weights, "none")
        return [(dataclasses.replace(trial, failure=f"not tried: install {needed}"), None)]
    trials = []
    for runtime in runtimes:
        trial, outputs = _run_trial(package, weights, runtime, test_tiles)
        if outputs and first and trial.failure is None:
            trial = _with_difference(trial, outputs, first, package, tolerance)
        first = first or outputs
        trials.append((trial, outputs))
    return trials


def _trial(weights: Weights, runtime: str) -> Trial:
    return Trial(weights=weights.path.name, format=weights.format, runtime=runtime)


def _run_trial(
    package: ModelPackage, weights: Weights, runtime: Runtime, test_tiles: Sequence[Tile]
) -> tuple[Trial, list[Outputs] | None]:
    """Load the weights and run them on the tiles, one by one and as a batch."""
    trial = _trial(weights, runtime)
    single = dataclasses.replace(package, weights=(weights,))
    try:
        model = load_model(single, runtime=runtime, format=weights.format)
        outputs = [tile_outputs for tile in test_tiles for tile_outputs in model([tile])]
        for tile_outputs in outputs:
            _check_outputs(tile_outputs, package)
        trial = dataclasses.replace(
            trial,
            difference=0.0,
            batch=_check_batch(model, test_tiles, outputs, package),
            milliseconds=milliseconds(model, test_tiles[-1]),
        )
    except SwathError as error:
        return dataclasses.replace(trial, failure=str(error)), None
    except Exception as error:  # noqa: BLE001 (the libraries' errors have no common base)
        reason = str(error).strip().partition("\n")[0]
        return dataclasses.replace(trial, failure=f"{type(error).__name__}: {reason}"), None
    return trial, outputs


def _with_difference(
    trial: Trial,
    outputs: Sequence[Outputs],
    first: Sequence[Outputs],
    package: ModelPackage,
    tolerance: float,
) -> Trial:
    """Return the trial with its difference from the first trial's outputs."""
    largest = max(
        difference(theirs, ours, package.description)
        for theirs, ours in zip(first, outputs, strict=True)
    )
    failure = None
    if not largest <= tolerance:
        failure = (
            f"its outputs differ from those of the first weights by {largest:.3g}, more than "
            f"{tolerance:g}: were they exported from one network?"
        )
    return dataclasses.replace(trial, difference=largest, failure=failure)


def _check_outputs(tile_outputs: Outputs, package: ModelPackage) -> None:
    """Raise ModelOutputError unless outputs are finite, decodable and of the described shapes."""
    described = _described_shapes(package)
    for index, role in enumerate(package.description.outputs):
        if role is None:
            continue
        if index >= len(tile_outputs):
            break  # decode_outputs raises the error
        output = np.asarray(tile_outputs[index])
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            raise ModelOutputError(f"{role} contains NaN or infinity")
        shape = described[index][1:] if package.description.batched else described[index]
        is_described = len(shape) == output.ndim and all(
            length in {-1, actual} for length, actual in zip(shape, output.shape, strict=True)
        )
        if not is_described:
            raise ModelOutputError(
                f"{role} has shape {list(output.shape)} for one tile; mlm:output describes {shape}"
            )
    decode_outputs(tile_outputs, package.description)


def _described_shapes(package: ModelPackage) -> list[list[int]]:
    return [entry["result"]["shape"] for entry in _properties(package)["mlm:output"]]


def _tolerance(package: ModelPackage) -> float:
    """Return the tolerance for the precision of the weights and, on a GPU, of the computation."""
    weights_precision = _properties(package).get(OPTIMIZED_PROPERTY, {}).get("precision")
    gpu_precision = package.description.precision if runs_on_gpu() else "float32"
    precisions = (weights_precision, gpu_precision)
    return max(_TOLERANCES.get(precision, TOLERANCE) for precision in precisions)


def _properties(package: ModelPackage) -> dict[str, Any]:
    properties: dict[str, Any] = json.loads(
        (package.folder / packing.DESCRIPTION_FILE).read_bytes()
    )["properties"]
    return properties


def _check_batch(
    model: Model, test_tiles: Sequence[Tile], outputs: Sequence[Outputs], package: ModelPackage
) -> str:
    """Return the accepted batch size; check that batching does not change a tile's outputs."""
    if not package.description.batched:
        return "1"
    if isinstance(model, BatchedModel) and model.has_static_batch:
        return str(model.batch_size)
    tolerance = _tolerance(package)
    batched = model(list(test_tiles[:_BATCHED_TILES]))
    for single, in_batch in zip(outputs, batched, strict=False):
        largest = difference(single, in_batch, package.description)
        if not largest <= tolerance:
            raise ModelOutputError(
                f"a tile's outputs differ by {largest:.3g} when other tiles are in its batch: "
                "the network mixes the tiles of a batch"
            )
    return "any"


def milliseconds(model: Model, tile: Tile) -> float:
    """Return the median time of a few calls with one tile, in ms; the model is warm already."""
    durations = []
    for _ in range(_TIMED_CALLS):
        start = time.perf_counter()
        model([tile])
        durations.append(1000 * (time.perf_counter() - start))
    return statistics.median(durations)
