"""Train a model on labeled scenes and write its package and report, in one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from swath.errors import InputError, LabelsError, TrainingError, TrainingInterruptedError
from swath.errors.extras import require_modules
from swath.models.package import describe_package
from swath.models.packing import DESCRIPTION_FILE
from swath.models.runtimes.device import runs_on_gpu, torch_device
from swath.packaging.write_mlm import TRAINING_PROPERTY, band_entry
from swath.resource_limits import available_cpus
from swath.storage.earlier_outputs import Output, has_only_entries
from swath.training.export import export_package
from swath.training.inputs import TrainInputs
from swath.training.loop import EpochCallback, TrainLoop
from swath.training.networks import build_network
from swath.training.package_spec import ONNX, PT2, package_spec, with_hyperparameters
from swath.training.progress import STOPPED
from swath.training.report import REPORT_OUTPUTS, TrainReport, write_report
from swath.training.scene_overlap import describe_scene_overlap
from swath.training.train_step import TrainStep
from swath.training.validation import create_validator

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.packaging.write_mlm import PackageSpec
    from swath.raster.band_units import Unit
    from swath.raster.radiometry.comparison import TrainingStatistics
    from swath.training.data.statistics import BandStatistics
    from swath.training.networks import Network
    from swath.training.options import TrainOptions
    from swath.training.progress import TrainProgress

PACKAGE = "package"
OUTPUTS = (Output(PACKAGE, has_only_entries(DESCRIPTION_FILE, ONNX, PT2)), *REPORT_OUTPUTS)
"""Outputs that a training writes."""

_logger = logging.getLogger(__name__)

_MIN_SCORE_THRESHOLD, _MAX_SCORE_THRESHOLD = 0.05, 0.95
"""Bounds of the exported score threshold.

The best threshold of a few validation scenes may be too extreme for other scenes.
"""


def train(
    options: TrainOptions,
    train: Collection,
    val: Collection | None,
    out: Path,
    *,
    checkpoints: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    on_epoch: EpochCallback | None = None,
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
        on_epoch: Function that is called with the metrics of each epoch.
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
    require_modules("onnx", "onnxscript", "faster_coco_eval", "jinja2", "matplotlib")
    train, val = _split_validation(options, train, val)
    inputs = TrainInputs.from_collection(train, options)
    val = inputs.to_grid(val) if val else None
    with _deterministic_torch(options):
        loop, data = _prepare_loop(options, inputs, val, checkpoints, stop, on_epoch)
        loop.launch = launch
        loop.resume()
        stopped: TrainingInterruptedError | None = None
        try:
            loop.run()
        except TrainingInterruptedError as error:
            if not export_if_stopped or not loop.progress.ended:
                raise
            stopped = error
    try:
        report = _write_outputs(loop, data, inputs.expected, out)
    except TrainingError as error:
        # The checkpoint is saved, so the training can resume without this package.
        if stopped is None:
            raise
        _logger.warning("the package of the weights so far was not written: %s", error)
    if stopped is not None:
        raise stopped
    return report


def _write_outputs(
    loop: TrainLoop, data: dict[str, Any], expected: TrainingStatistics | None, out: Path
) -> TrainReport:
    """Export the best weights so far and write the report."""
    spec = replace(_final_spec(loop.spec, loop.options, loop.progress, data), expected=expected)
    out.mkdir(parents=True, exist_ok=True)
    scenes = [scene.uri for scene in loop.scenes.scenes]
    export_package(loop.train_step.export_network(), spec, out / PACKAGE, scenes)
    report = _build_report(loop.options, spec, loop.progress, data, out / PACKAGE)
    write_report(report, out)
    return report


def _prepare_loop(
    options: TrainOptions,
    inputs: TrainInputs,
    val: Collection | None,
    checkpoints: Path | None,
    stop: Callable[[], bool],
    on_epoch: EpochCallback | None,
) -> tuple[TrainLoop, dict[str, Any]]:
    """Return a training before its first step, and the description of its data."""
    network = _build_network(options, inputs)
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
    loop = TrainLoop(
        options=options,
        train_step=TrainStep(network, options, device),
        make_loader=lambda negatives: inputs.batch_loader(sampler, negatives, pinned=on_gpu),
        spec=replace(spec, properties=_band_properties(inputs)),
        scenes=inputs.collection,
        validator=None if val is None else create_validator(spec.task, val),
        checkpoints=checkpoints,
        identity={
            "options": options.digest,
            "scenes or labels to train on": inputs.collection.digest,
            "scenes or labels to validate on": val.digest if val else "none",
        },
        stop=stop,
        on_epoch=on_epoch or (lambda _: None),
    )
    return loop, {
        "training": _describe_collection(inputs.collection),
        "validation": _describe_collection(val) if val else None,
    }


def _split_validation(
    options: TrainOptions, train: Collection, val: Collection | None
) -> tuple[Collection, Collection | None]:
    """Return the scenes to train on and the scenes to validate on.

    Raises:
        InputError: Both `val` and the option `held_out` are given, or the classes differ.
        LabelsError: A scene is in both collections.
    """
    if val is not None and options.held_out:
        raise InputError(
            f"held_out is {', '.join(options.held_out)}, but validation scenes are given as well; "
            "leave out one of them"
        )
    if options.held_out:
        train, val = train.without(options.held_out), train.subset(options.held_out)
    if val is not None and val.classes != train.classes:
        raise InputError(
            f"the training classes are {', '.join(train.classes)}, but the validation classes are "
            f"{', '.join(val.classes)}; give the same classes in the same order"
        )
    if val is not None:
        _refuse_shared_scenes(train, val)
        if shared := describe_scene_overlap(train, val, options.bands):
            _logger.warning("warning: %s", shared)
    return train, val


def _refuse_shared_scenes(train: Collection, val: Collection) -> None:
    """Refuse a scene that is in both collections, by its bytes and not by its name."""
    known = {scene.sha256: scene.uri for scene in train.scenes if scene.sha256}
    for scene in val.scenes:
        if scene.sha256 in known:
            raise LabelsError(
                f"the training scene {known[scene.sha256]} and the validation scene {scene.uri} "
                "have the same bytes; remove one of them, or name it in held_out"
            )


@contextmanager
def _deterministic_torch(options: TrainOptions) -> Iterator[None]:
    """Make the same seed give the same numbers inside the block, and restore torch after it."""
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    settings: Any = torch.utils.deterministic  # type: ignore[attr-defined,unused-ignore]
    was_filling = settings.fill_uninitialized_memory
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads or available_cpus())
    # On a GPU, operations without a deterministic implementation are still allowed.
    torch.use_deterministic_algorithms(not runs_on_gpu(), warn_only=True)
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_rng_state(state)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(was_deterministic)
        settings.fill_uninitialized_memory = was_filling


def _build_network(options: TrainOptions, inputs: TrainInputs) -> Network:
    network_options = dict(options.network_options)
    weights = inputs.class_weights()
    if weights is not None:
        network_options["class_weights"] = weights
    return build_network(
        options.network,
        bands=len(inputs.bands),
        classes=len(inputs.collection.classes),
        size=options.tile_size,
        **network_options,
    )


def _band_properties(inputs: TrainInputs) -> dict[str, Any]:
    """Return the package's description of the scenes' bands."""
    bands = zip(inputs.statistics, inputs.units, strict=True)
    return {"bands": [_describe_band(band, unit) for band, unit in bands]}


def _describe_band(band: BandStatistics, unit: Unit | None) -> dict[str, Any]:
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


def _describe_collection(collection: Collection) -> dict[str, Any]:
    """Return a collection's digest, scene names and number of objects, for the report."""
    return {
        "digest": collection.digest,
        "scenes": [scene.name for scene in collection.scenes],
        "objects": sum(int((~scene.crowd).sum()) for scene in collection.scenes),
    }


def _final_spec(
    spec: PackageSpec, options: TrainOptions, progress: TrainProgress, data: dict[str, Any]
) -> PackageSpec:
    """Return the final spec, with the best score threshold and a record of the training."""
    validation = progress.kept
    if (
        options.score_threshold is None
        and validation is not None
        and validation.threshold is not None
    ):
        threshold = min(max(validation.threshold, _MIN_SCORE_THRESHOLD), _MAX_SCORE_THRESHOLD)
        spec = with_hyperparameters(spec, {"score_threshold": round(threshold, 3)})
    training = {
        "data": data,
        "options": options.to_json(),
        "epochs": progress.ended,
        "steps": progress.step,
        "metrics": _round_metrics(validation.metrics) if validation else {},
    }
    return replace(spec, properties={**spec.properties, TRAINING_PROPERTY: training})


def _build_report(
    options: TrainOptions,
    spec: PackageSpec,
    progress: TrainProgress,
    data: dict[str, Any],
    package: Path,
) -> TrainReport:
    validation = progress.kept
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
        metrics=_round_metrics(validation.metrics) if validation else {},
        score_threshold=spec.hyperparameters.get("score_threshold"),
        data=data,
        options=options.to_json(),
        curves=[_round_metrics(metrics) for metrics in progress.curves],
    )


def _round_metrics(metrics: dict[str, float]) -> dict[str, float]:
    """Round metrics to six significant digits, which is all that is meaningful."""
    return {name: float(f"{value:.6g}") for name, value in metrics.items()}
