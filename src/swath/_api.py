"""Provide the functions of the public API, which call the packages that do the work."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from swath.errors import GateError, InputError
from swath.errors.extras import name_missing_extra
from swath.messages import RunOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from swath.detection.result import Detections
    from swath.evaluation.results import Evaluation
    from swath.items.scene_arguments import SceneArgument
    from swath.labels.formats import LabelFormat
    from swath.models.loaded_model import LoadedModel
    from swath.pipeline.run_report import RunReport
    from swath.raster.scene import Scene
    from swath.storage.output_folder import VectorFormat
    from swath.training.options import TrainOptions
    from swath.training.progress import EpochMetrics
    from swath.training.report import TrainReport

ProgressCallback = Callable[[int, int], None]
"""Callback with the number of tiles done and the total number; the first call has 0 done."""


@name_missing_extra
def load_model(model: str | Path) -> LoadedModel:
    """Load a model package once, to use it for many scenes.

    Args:
        model: Folder, `model.tar.gz` or S3 URI of a model package.

    Raises:
        PackageError: There is no such package, or none of its weights can run on this machine.
        NoGpuError: The machine has a GPU that cannot be used.
        ModelTimeoutError: The model did not load in time.
    """
    from swath.models.loaded_model import LoadedModel

    return LoadedModel.from_uri(str(model))


@name_missing_extra
def open_scene(
    scene: SceneArgument, *, bands: Sequence[str] | None = None, sources: Collection[str] = ()
) -> AbstractContextManager[Scene]:
    """Open a scene for one thread, until the `with` block ends.

    The scene's `info` has its width, height, bands and CRS. Its method
    `read((x, y, width, height), [1, 2, 3])` takes a window in px and band numbers from 1; it
    returns pixels (bands, rows, cols) and a mask of the valid pixels (rows, cols).

    Args:
        scene: Path or S3 URI of a GeoTIFF, JPEG 2000 or NITF file, or of a STAC Item; a list of
            files; or an Item, from pystac or as parsed JSON.
        bands: Names of the bands to open, in order; None for all bands of a file. An Item or a list
            of files needs names. Its bands have the pixel grid of the finest one.
        sources: Prefixes of addresses where the files of an Item may lie, besides its folder.

    Raises:
        SceneError: There is no such file, it cannot be read, or it lacks a band.
        TransientError: S3 failed, and a retry can succeed.
    """
    from swath.detection.open_named import open_named_bands

    return open_named_bands(scene, bands, sources)


@name_missing_extra
def detect(
    scene: SceneArgument | Scene | DatasetReader | NDArray[Any],
    model: str | Path | LoadedModel,
    *,
    sources: Collection[str] = (),
    score_threshold: float | None = None,
    crs: Any = None,
    transform: Sequence[float] | None = None,
    nodata: float | None = None,
    progress: ProgressCallback | None = None,
) -> Detections:
    """Detect the objects of a scene, in this process and in memory.

    The detections equal the rows that `run` writes. Use `run` for a scene whose detections do not
    fit into memory.

    Args:
        scene: Path or S3 URI of a file or a STAC Item; a list of files; an Item, from pystac or as
            parsed JSON; a scene from `open_scene`; a dataset that rasterio opened from a file or
            S3; or an array (bands, rows, cols) with the model's bands in the model's order.
        model: Folder, `model.tar.gz` or S3 URI of a model package, or a model from `load_model`.
        sources: Prefixes of addresses where the files of an Item may lie, besides its folder.
        score_threshold: Minimum score of the results, 0 to 1; by default that of the package.
        crs: Coordinate reference system of an array, for example `"EPSG:32652"`. Without it,
            positions are in px.
        transform: Transform from pixels to the CRS of an array: six numbers, or rasterio's
            `Affine`.
        nodata: Value of the pixels of an array that are not valid.
        progress: Callback after each batch of tiles.

    Raises:
        SceneError: The scene cannot be read, or does not have the model's bands.
        PackageError: The model package cannot be used.
        SettingsError: The score threshold is below the package's own.
        ModelOutputError: The model failed on a tile.
        TransientError: S3 failed, and a retry can succeed.
        ModuleNotFoundError: A library is not installed; the message names the extra.
    """
    from swath.detection.detect_any import detect_any

    loaded = load_model(model) if isinstance(model, str | Path) else model
    options = _options(score_threshold)
    georeference = {"crs": crs, "transform": transform, "nodata": nodata}
    return detect_any(scene, loaded, options, sources=sources, progress=progress, **georeference)


@name_missing_extra
def run(
    scene: SceneArgument,
    model: str | Path,
    out: str | Path,
    *,
    sources: Collection[str] = (),
    formats: Collection[VectorFormat] = (),
    database: str | None = None,
    score_threshold: float | None = None,
    tolerated_failures: float = 0.0,
    acquired_at: str | datetime | None = None,
    progress: ProgressCallback | None = None,
) -> RunReport:
    """Run a model on a scene of any size; write `detections.parquet` and `summary.json`.

    Args:
        scene: Path or S3 URI of a file or a STAC Item; a list of files; or an Item, from pystac or
            as parsed JSON.
        model: Folder, `model.tar.gz` or S3 URI of a model package.
        out: Folder to write to; files of an earlier run in it are removed.
        sources: Prefixes of addresses where the files of an Item may lie, besides its folder.
        formats: Further formats to write: `gpkg`, `geojson` or `fgb`.
        database: DSN of a PostGIS database to load the detections into as well.
        score_threshold: Minimum score of the results, 0 to 1; by default that of the package.
        tolerated_failures: Maximum fraction of the tiles that may fail, 0 to 1.
        acquired_at: Time of the scene's acquisition with a time zone, as text in ISO 8601 or as a
            datetime; by default, that which the scene's metadata state.
        progress: Callback after each batch of tiles.

    Raises:
        InputError: The scene or the package is missing, `out` has a file that swath did not write,
            or `acquired_at` is no time of acquisition.
        SwathError: The run failed; `summary.json` records the failure too.
        ModuleNotFoundError: A library is not installed; the message names the extra.
    """
    from swath.pipeline.local import run_local

    options = _options(score_threshold, tolerated_failures)
    return run_local(
        scene,
        str(model),
        Path(out),
        sources=sources,
        formats=formats,
        database=database,
        options=options,
        acquired_at=acquired_at.isoformat() if isinstance(acquired_at, datetime) else acquired_at,
        progress=progress,
    )


@name_missing_extra
def evaluate(
    model: str | Path,
    labels: str | Path | None,
    scenes: str | Path,
    out: str | Path,
    *,
    label_format: LabelFormat = "auto",
    classes: Sequence[str] | None = None,
    class_map: Mapping[str, str] | None = None,
    against: str | Path | None = None,
    fail_below: Mapping[str, float] | None = None,
    tolerance: float = 0.0,
    score_floor: float = 0.01,
    tolerated_failures: float = 0.0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Measure a model package on labeled scenes; write `evaluation.json` and `report.html`.

    Args:
        model: Folder, `model.tar.gz` or S3 URI of a model package.
        labels: File or folder of the labels; None if the labels lie beside the scenes.
        scenes: Folder of the scenes.
        out: Folder to write to.
        label_format: Format of the labels.
        classes: Names of the labels' classes, in order; needed if the labels do not name them.
        class_map: Classes of the labels, and the class of the model for each.
        against: Package in use, or its `evaluation.json`, whose metrics the model must reach.
        fail_below: Minimum values of metrics, for example `{"AP50": 0.3}`.
        tolerance: Maximum drop of a metric below that of the package in use.
        score_floor: Minimum score of the detections that are measured, 0 to 1.
        tolerated_failures: Maximum fraction of a scene's tiles that may fail, 0 to 1.
        progress: Callback with the scene's address, the tiles done and the total number.

    Raises:
        GateError: The model falls below `fail_below` or `against`; the files are written.
        InputError: The package, the labels, the scenes or an option cannot be used.
        SwathError: A run failed.
        ModuleNotFoundError: A library is not installed; the message names the extra.
    """
    from swath.evaluation.assess import assess, read_labels

    collection = read_labels(
        model,
        _to_str(labels),
        str(scenes),
        label_format=label_format,
        classes=classes,
        class_map=class_map,
    )
    evaluation, verdict = assess(
        model,
        collection,
        Path(out),
        against=_to_str(against),
        fail_below=fail_below,
        tolerance=tolerance,
        score_floor=score_floor,
        tolerated_failures=tolerated_failures,
        progress=progress or (lambda *_: None),
    )
    if not verdict.passed:
        raise GateError(str(verdict))
    return evaluation


@name_missing_extra
def train(
    labels: str | Path | None,
    scenes: str | Path,
    out: str | Path,
    *,
    val_labels: str | Path | None = None,
    val_scenes: str | Path | None = None,
    label_format: LabelFormat = "auto",
    classes: Sequence[str] | None = None,
    class_map: Mapping[str, str] | None = None,
    options: TrainOptions | Mapping[str, Any] | str | Path | None = None,
    resume: bool = False,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[EpochMetrics], None] | None = None,
) -> TrainReport:
    """Train a model on labeled scenes; write its package, `report.html` and `metrics.json`.

    Args:
        labels: File or folder of the labels; None if the labels lie beside the scenes.
        scenes: Folder of the scenes to train on.
        out: Folder to write to; the model package is written to its folder `package`.
        val_labels: File or folder of the labels of the validation scenes.
        val_scenes: Folder of the validation scenes; None to take them from `scenes`.
        label_format: Format of the labels.
        classes: Names of the classes, in order; None for the names in the labels.
        class_map: Classes of the labels, and the name of each in the model.
        options: Options by name, or a TOML or JSON file of options; None for the defaults.
        resume: Whether to resume from the checkpoint in `out`.
        stop: Function called after each step. Once it returns True, the training writes a
            checkpoint and stops.
        progress: Callback with the metrics of each epoch.

    Raises:
        InputError: The options, the labels or the scenes cannot be used; or `out` has a checkpoint
            without `resume`, or has none with `resume`.
        TrainingError: The loss is NaN, or the exported model is wrong.
        TrainingInterruptedError: `stop` returned True.
        ModuleNotFoundError: A library is not installed; the message names the extra.
    """
    from swath.training.options import TrainOptions, read_options
    from swath.training.runner import TrainRunner

    if isinstance(options, Mapping):
        options = TrainOptions.from_values(options)
    elif not isinstance(options, TrainOptions):
        options = read_options(_to_str(options))
    job = TrainRunner(
        options=options,
        form=label_format,
        classes=None if classes is None else tuple(classes),
        class_map=class_map or {},
    )
    return job.run_in_folder(
        Path(out),
        labels=_to_str(labels),
        images=str(scenes),
        val_labels=_to_str(val_labels),
        val_images=_to_str(val_scenes),
        resume=resume,
        stop=stop or (lambda: False),
        on_epoch=progress or (lambda _: None),
    )


def _options(score_threshold: float | None, tolerated_failures: float = 0.0) -> RunOptions:
    """Return the options of a run.

    Raises:
        InputError: A number is not between 0 and 1.
    """
    threshold = UNSET if score_threshold is None else score_threshold
    try:
        return RunOptions(score_threshold=threshold, tolerated_failures=tolerated_failures)
    except ValueError as error:
        raise InputError(str(error)) from None


def _to_str(address: str | Path | None) -> str | None:
    return None if address is None else str(address)
