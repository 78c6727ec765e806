"""Train a model on labeled scenes and write its package and report, in one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from swath.cpus import available_cpus
from swath.errors import InputError, LabelsError, TrainingError, TrainingInterruptedError
from swath.errors.extras import require
from swath.models.package import describe_package
from swath.models.packing import DESCRIPTION
from swath.models.runtimes.device import find_gpu, torch_device
from swath.packaging.write_mlm import TRAINING, band_entry
from swath.storage.earlier_outputs import Output, folder_of
from swath.training.export import export
from swath.training.inputs import Inputs
from swath.training.learner import Learner
from swath.training.loop import Loop, Tell
from swath.training.networks import build
from swath.training.package_spec import ONNX, PT2, package_spec, with_hyperparameters
from swath.training.progress import STOPPED
from swath.training.report import REPORTS, TrainReport, write_report
from swath.training.shared_ground import describe_shared_ground
from swath.training.validation import validator_of

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.packaging.write_mlm import PackageSpec
    from swath.raster.band_units import Unit
    from swath.raster.radiometry.comparison import Expected
    from swath.training.data.statistics import BandStatistics
    from swath.training.networks import Network
    from swath.training.options import TrainOptions
    from swath.training.progress import Point, Progress
    from swath.training.validation import Validator

PACKAGE = "package"
OUTPUTS = (Output(PACKAGE, folder_of(DESCRIPTION, ONNX, PT2)), *REPORTS)
"""Outputs that a training writes."""

_logger = logging.getLogger(__name__)

_LEAST_THRESHOLD, _MOST_THRESHOLD = 0.05, 0.95
"""Bounds of the exported score threshold.

The best threshold of a few validation scenes may be too extreme for other scenes.
"""


def _silent(point: Point) -> None:
    """Ignore the metrics of an epoch."""


def train(
    options: TrainOptions,
    train: Collection,
    val: Collection | None,
    out: Path,
    *,
    checkpoints: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    tell: Tell = _silent,
    launch: str = "",
    export_if_stopped: bool = False,
) -> TrainReport:
    """Train a model and write its package, `report.html` and `metrics.json`.

    The training resumes from a checkpoint if there is one. On a CPU, with the same number of
    threads, a resumed training gives bit-identical results to an uninterrupted one.

    Args:
        options: Training options.
        train: Scenes to train on.
        val: Scenes that select the best weights and the score threshold.
        out: Folder to write to; the package is its folder `package`.
        checkpoints: Folder of the checkpoints; None for a training that cannot be resumed.
        stop: Called after each step; once it returns True, the training saves a checkpoint and
            ends.
        tell: Called with the metrics of each epoch.
        launch: Identifier of the launch that this process is part of. Each launch that resumes
            from the same checkpoints has the full time limit, `minutes`.
        export_if_stopped: Whether a stopped training writes the package of its weights so far
            before it raises the error. At least one epoch must be over.

    Raises:
        InputError: The options, the labels or the scenes cannot be used, or the checkpoint is
            from another training.
        TrainingError: The loss or its gradient is infinite or NaN, a scene cannot be read, or the
            exported model differs from the trained one.
        TrainingInterruptedError: `stop` returned True.
        ModuleNotFoundError: A package that the export, the metrics or the report need is not
            installed.
    """
    require("onnx", "onnxscript", "faster_coco_eval", "jinja2", "matplotlib")
    train, val = _split(options, train, val)
    inputs = Inputs.of(train, options)
    with _deterministic(options):
        loop, data = _prepared(options, inputs, val, checkpoints, stop, tell)
        loop.launch = launch
        loop.take_up()
        stopped: TrainingInterruptedError | None = None
        try:
            loop.run()
        except TrainingInterruptedError as error:
            if not export_if_stopped or not loop.progress.ended:
                raise
            stopped = error
    try:
        report = _write(loop, data, inputs.expected, out)
    except TrainingError as error:
        # The checkpoint is saved, so the training can resume without this package.
        if stopped is None:
            raise
        _logger.warning("no package of the weights so far: %s", error)
    if stopped is not None:
        raise stopped
    return report


def _write(loop: Loop, data: dict[str, Any], expected: Expected | None, out: Path) -> TrainReport:
    """Export the best weights so far and write the report."""
    spec = replace(_final(loop.spec, loop.options, loop.progress, data), expected=expected)
    out.mkdir(parents=True, exist_ok=True)
    scenes = [scene.uri for scene in loop.scenes.scenes]
    export(loop.learner.outcome(), spec, out / PACKAGE, scenes)
    report = _report(loop.options, spec, loop.progress, data, out / PACKAGE)
    write_report(report, out)
    return report


def _prepared(
    options: TrainOptions,
    inputs: Inputs,
    val: Collection | None,
    checkpoints: Path | None,
    stop: Callable[[], bool],
    tell: Tell,
) -> tuple[Loop, dict[str, Any]]:
    """Return a training before its first step, and the description of its data."""
    network = _network(options, inputs)
    spec = package_spec(
        network,
        options,
        bands=inputs.bands,
        scaling=inputs.scaling,
        classes=inputs.collection.classes,
        units=inputs.units,
    )
    device = torch_device()
    sampler = inputs.sampler(class_maps=spec.task == "semantic-segmentation")
    on_gpu = device.type == "cuda"
    loop = Loop(
        options=options,
        learner=Learner(network, options, device),
        feed=lambda negatives: inputs.feed(sampler, negatives, pinned=on_gpu),
        spec=replace(spec, properties=_properties(inputs)),
        scenes=inputs.collection,
        validate=_validator(spec, val),
        checkpoints=checkpoints,
        identity={
            "options": options.digest,
            "scenes or labels to train on": inputs.collection.digest,
            "scenes or labels to validate on": val.digest if val else "none",
        },
        stop=stop,
        tell=tell,
    )
    return loop, {"training": _data(inputs.collection), "validation": _data(val) if val else None}


def _split(
    options: TrainOptions, train: Collection, val: Collection | None
) -> tuple[Collection, Collection | None]:
    """Return the scenes to train on and the scenes to validate on.

    Raises:
        InputError: Both `val` and the option `held_out` are given, or the classes differ.
        LabelsError: A scene is in both collections.
    """
    if val is not None and options.held_out:
        raise InputError(
            f"held_out is {', '.join(options.held_out)}, and there is a collection to validate on "
            "as well: leave one of them out"
        )
    if options.held_out:
        train, val = train.without(options.held_out), train.subset(options.held_out)
    if val is not None and val.classes != train.classes:
        raise InputError(
            f"the classes to train on are {', '.join(train.classes)} and those to validate on "
            f"{', '.join(val.classes)}; they must be the same, in the same order"
        )
    if val is not None:
        _refuse_shared(train, val)
        if shared := describe_shared_ground(train, val):
            _logger.warning("warning: %s", shared)
    return train, val


def _refuse_shared(train: Collection, val: Collection) -> None:
    """Refuse a scene that is in both collections, by its bytes and not by its name."""
    known = {scene.sha256: scene.uri for scene in train.scenes if scene.sha256}
    for scene in val.scenes:
        if scene.sha256 in known:
            raise LabelsError(
                f"{known[scene.sha256]}, to train on, and {scene.uri}, to validate on, hold the "
                "same bytes; remove the scene from one of the two, or name it in held_out"
            )


@contextmanager
def _deterministic(options: TrainOptions) -> Iterator[None]:
    """Make the same seed give the same numbers inside the block, and restore torch after it."""
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    before = torch.are_deterministic_algorithms_enabled()
    filling: Any = torch.utils.deterministic  # type: ignore[attr-defined,unused-ignore]
    filled = filling.fill_uninitialized_memory
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads or available_cpus())
    # On a GPU, operations without a deterministic implementation are still allowed.
    torch.use_deterministic_algorithms(not find_gpu(), warn_only=True)
    filling.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_rng_state(state)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(before)
        filling.fill_uninitialized_memory = filled


def _network(options: TrainOptions, inputs: Inputs) -> Network:
    chosen = dict(options.network_options)
    weights = inputs.class_weights()
    if weights is not None:
        chosen["class_weights"] = weights
    return build(
        options.network,
        bands=len(inputs.bands),
        classes=len(inputs.collection.classes),
        size=options.tile_size,
        **chosen,
    )


def _validator(spec: PackageSpec, val: Collection | None) -> Validator | None:
    return None if val is None else validator_of(spec.task, val)


def _properties(inputs: Inputs) -> dict[str, Any]:
    """Return the package's description of the scenes' bands."""
    bands = zip(inputs.statistics, inputs.units, strict=True)
    return {"bands": [_band(band, unit) for band, unit in bands]}


def _band(band: BandStatistics, unit: Unit | None) -> dict[str, Any]:
    """Return a band as STAC describes it, with its statistics over the training scenes.

    https://github.com/radiantearth/stac-spec/blob/v1.1.0/commons/common-metadata.md#statistics-object
    """
    return {
        **band_entry(band.name, unit),
        "statistics": {
            "minimum": band.minimum,
            "maximum": band.maximum,
            "mean": band.mean,
            "stddev": band.stddev,
            "valid_percent": band.valid_percent,
        },
    }


def _data(collection: Collection) -> dict[str, Any]:
    """Return a collection's digest, scene names and number of objects, for the report."""
    return {
        "digest": collection.digest,
        "scenes": [scene.name for scene in collection.scenes],
        "objects": sum(int((~scene.crowd).sum()) for scene in collection.scenes),
    }


def _final(
    spec: PackageSpec, options: TrainOptions, progress: Progress, data: dict[str, Any]
) -> PackageSpec:
    """Return the final spec, with the best score threshold and a record of the training."""
    kept = progress.kept
    if options.score_threshold is None and kept is not None and kept.threshold is not None:
        threshold = min(max(kept.threshold, _LEAST_THRESHOLD), _MOST_THRESHOLD)
        spec = with_hyperparameters(spec, {"score_threshold": round(threshold, 3)})
    training = {
        "data": data,
        "options": options.to_json(),
        "epochs": progress.ended,
        "steps": progress.step,
        "metrics": _rounded(kept.metrics) if kept else {},
    }
    return replace(spec, properties={**spec.properties, TRAINING: training})


def _report(
    options: TrainOptions,
    spec: PackageSpec,
    progress: Progress,
    data: dict[str, Any],
    package: Path,
) -> TrainReport:
    kept = progress.kept
    return TrainReport(
        name=options.name,
        package=str(package),
        digest=describe_package(package).digest,
        network=spec.architecture,
        parameters=spec.parameters or 0,
        bands=list(spec.bands),
        ended=progress.finished or STOPPED,
        epochs=progress.ended,
        steps=progress.step,
        best_epoch=progress.best_epoch,
        seconds=round(progress.seconds, 1),
        metrics=_rounded(kept.metrics) if kept else {},
        score_threshold=spec.hyperparameters.get("score_threshold"),
        data=data,
        options=options.to_json(),
        curves=[_rounded(point) for point in progress.curves],
    )


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    """Round metrics to six significant digits, which is all that is meaningful."""
    return {name: float(f"{value:.6g}") for name, value in figures.items()}
