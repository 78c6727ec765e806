"""A model package, tried: every file of weights, in every library here that runs it.

All must give the same answer for a tile, of the shapes that `mlm.json` describes, finite, and the
same for a tile alone as among others.
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
from swath.models.runtimes.base import Batches, Model, Runtime
from swath.models.runtimes.device import find_gpu
from swath.models.runtimes.load import load_model
from swath.packaging import sample_tiles
from swath.packaging.compare_outputs import difference, read_answer
from swath.packaging.coverage import warnings_of

if TYPE_CHECKING:
    from swath.models.mlm import WeightsFormat
    from swath.models.runtimes.base import Outputs
    from swath.packaging.sample_tiles import Tile

TOLERANCE = 1e-3
"""Of the largest number of an output. Libraries sum in other orders: OpenVINO and ONNX Runtime
differ by up to some 1e-4."""
_TOLERANCES = {"float16": 1e-2, "bfloat16": 5e-2, "int8": 5e-2}
"""Tolerances for fewer bits, in the weights or on the GPU: each library rounds in its own way."""
OPTIMISED = "swath:optimised"
"""What an optimised package says of itself."""
_RUNTIMES: dict[WeightsFormat, tuple[tuple[Runtime, str], ...]] = {
    "onnx": (("onnx", "onnxruntime"), ("openvino", "openvino")),
    "torchscript": (("torch", "torch"),),
    "pt2": (("torch", "torch"),),
}
_TIMES = 3
_TOGETHER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One file of weights in one library."""

    weights: str
    format: WeightsFormat
    runtime: str
    fault: str | None = None
    """Why it does not pass; None where it does."""
    difference: float | None = None
    """From the first trial's answers, the largest; None where it gave no answers."""
    batch: str = ""
    """`any`, or the number of tiles that it insists on."""
    milliseconds: float | None = None
    """For one tile, by the median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What became of a package's check."""

    name: str
    digest: str
    tolerance: float
    tiles: int
    """How many each trial was shown."""
    trials: tuple[Trial, ...]
    warnings: tuple[str, ...] = ()
    """A scene in which the package finds nothing, or everything."""

    @property
    def passed(self) -> bool:
        """Whether every file of weights was tried, and all agree."""
        return not self.faults

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, in words."""
        return tuple(
            f"{trial.weights} ({trial.runtime}): {trial.fault}"
            for trial in self.trials
            if trial.fault
        )


def check_package(
    uri: str | Path, *, images: Sequence[str] = (), tiles: int = 4, tolerance: float | None = None
) -> CheckReport:
    """Try a package.

    Args:
        uri: a folder, a local `model.tar.gz` or an S3 URI of one.
        images: scenes to cut tiles from, beside the black one and the noise.
        tiles: how many to cut from all of them.
        tolerance: by how much answers may differ, see `difference`; by default TOLERANCE, or more
            where the weights are in fewer bits.

    Raises:
        PackageError: it is no package, contradicts itself, or a checksum is off.
        SceneError: an image cannot be read, or lacks a band.
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
    """Yield what is odd about the first weights' answers for scenes, and for tiles of nothing."""
    description = package.description
    yield from warnings_of("black and noise", answers[:empty], description, empty=True)
    at = empty
    for uri, cut in scenes:
        yield from warnings_of(uri, answers[at : at + len(cut)], description)
        at += len(cut)


def _trials(
    package: ModelPackage,
    weights: Weights,
    shown: Sequence[Tile],
    first: Sequence[Outputs] | None,
    tolerance: float,
) -> list[tuple[Trial, list[Outputs] | None]]:
    """One file of weights in each library that is installed; a fault where there is none."""
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
    """Load weights and show them the tiles, one by one and together."""
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
    """The trial with how far it is from the first one's answers."""
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
    """Finite numbers, of the shapes that are described, that a head can read."""
    described = _described_shapes(package)
    for place, role in enumerate(package.description.outputs):
        if role is None:
            continue
        if place >= len(answer):
            break  # the head says so
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
    """Return the tolerance for the bits of the weights and, on a GPU, those it computes in."""
    optimised = _properties(package).get(OPTIMISED, {}).get("precision")
    computed = package.description.precision if find_gpu() else "float32"
    return max(_TOLERANCES.get(precision, TOLERANCE) for precision in (optimised, computed))


def _properties(package: ModelPackage) -> dict[str, Any]:
    properties: dict[str, Any] = json.loads((package.folder / packing.DESCRIPTION).read_bytes())[
        "properties"
    ]
    return properties


def _check_batch(
    model: Model, shown: Sequence[Tile], answers: Sequence[Outputs], package: ModelPackage
) -> str:
    """What batches it takes; several tiles at once must give what each gives alone."""
    if not package.description.batched:
        return "1"
    if isinstance(model, Batches) and model.fixed:
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
    """For one tile, the median of some calls; the library has warmed up before."""
    taken = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        model([tile])
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken)
