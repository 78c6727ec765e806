"""Cross-validate training options: estimate a model's metrics on unseen scenes of the same kind.

Each fold of the scenes is held out of one training and validates its model (Stone 1974,
https://doi.org/10.1111/j.2517-6161.1974.tb00994.x). Options that are chosen by cross-validation
do not depend on the scenes that the final model is evaluated on.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from swath import storage
from swath.errors import InputError
from swath.labels.splits import folds
from swath.messages import Payload
from swath.storage.earlier_outputs import Output, has_json_keys
from swath.storage.output_folder import clear_outputs
from swath.training.options import TrainOptions
from swath.training.report import METRICS_FILE
from swath.training.train import train

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.training.loop import EpochCallback

FOLDS_FILE = "folds.json"
CHECKPOINT_FOLDER = "checkpoints"


class Fold(Payload, frozen=True, kw_only=True):
    """Training of one fold, and its metrics on the held-out scenes."""

    scenes: tuple[str, ...]
    """Names of the held-out scenes."""
    objects: int
    """Number of objects in the held-out scenes, without crowd regions."""
    metrics: dict[str, float]
    """Metrics on the held-out scenes, by name."""


class CrossValidation(Payload, frozen=True, kw_only=True):
    """Results of all folds: the content of `folds.json`."""

    folds: tuple[Fold, ...]
    mean: dict[str, float]
    """Mean of each metric over the folds."""
    deviation: dict[str, float]
    """Standard deviation of each metric over the folds."""
    options: dict[str, Any]
    """Options of all trainings."""


def cross_validate(
    options: TrainOptions,
    collection: Collection,
    count: int,
    out: Path,
    *,
    stop: Callable[[], bool],
    on_epoch: Callable[[int], EpochCallback],
) -> CrossValidation:
    """Train once for each fold, each in its folder of `out`, and write `folds.json`.

    Only the last weights of each training are validated, so the held-out scenes influence
    nothing. Called again, completed folds are not trained again, and a stopped fold resumes.

    Args:
        options: Options of all trainings.
        collection: Labeled scenes, which are split into folds.
        count: Number of folds.
        out: Folder to write to; the folders of the folds in it are `fold-1` and so on.
        stop: Called after each step; once it returns True, the training saves a checkpoint and
            ends.
        on_epoch: Function that returns the receiver of a fold's metrics, given the fold's number
            from 1.

    Raises:
        LabelsError: There are fewer than two folds, or fewer scenes than folds.
        InputError: The option `held_out` is given, or a fold's folder has another training.
        TrainingInterruptedError: `stop` returned True; another call resumes.
    """
    if options.held_out:
        raise InputError(
            f"held_out is {', '.join(options.held_out)}, but each fold holds out its own scenes; "
            "leave out held_out"
        )
    clear_outputs(out, [Output(FOLDS_FILE, has_json_keys("folds", "mean"))])
    done: list[Fold] = []
    for number, (_, held_out) in enumerate(folds(collection, count), 1):
        names = tuple(scene.uri for scene in held_out.scenes)
        folder = out / f"fold-{number}"
        metrics = _train_fold(
            _fold_options(options, names), collection, folder, stop, on_epoch(number)
        )
        objects = sum(int((~scene.crowd).sum()) for scene in held_out.scenes)
        scenes = tuple(scene.name for scene in held_out.scenes)
        done.append(Fold(scenes=scenes, objects=objects, metrics=dict(metrics)))
    result = CrossValidation(
        folds=tuple(done),
        mean=_aggregate(done, statistics.fmean),
        deviation=_aggregate(done, statistics.pstdev),
        options=options.to_json(),
    )
    text = json.dumps(result.to_json(), indent=2) + "\n"
    storage.write_bytes(str(out / FOLDS_FILE), text.encode())
    return result


def _fold_options(options: TrainOptions, names: tuple[str, ...]) -> TrainOptions:
    return msgspec.structs.replace(
        options, held_out=names, keep="last", patience=0, validate_from=options.epochs
    )


def _train_fold(
    options: TrainOptions,
    collection: Collection,
    folder: Path,
    stop: Callable[[], bool],
    on_epoch: EpochCallback,
) -> Mapping[str, float]:
    """Return the metrics of a fold's training, which is run unless its folder has its metrics.

    Raises:
        InputError: The folder has a training with other options, scenes or labels.
    """
    metrics_file = folder / METRICS_FILE
    if metrics_file.is_file():
        report = json.loads(metrics_file.read_bytes())
        has_same_options = TrainOptions.from_values(report["options"]).digest == options.digest
        train_digest = collection.without(options.held_out).digest
        if not has_same_options or report["data"]["training"]["digest"] != train_digest:
            raise InputError(
                f"{folder} has a training with other options, scenes or labels; give another folder"
            )
        metrics: dict[str, float] = report["metrics"]
        return metrics
    checkpoints = folder / CHECKPOINT_FOLDER
    return train(
        options, collection, None, folder, checkpoints=checkpoints, stop=stop, on_epoch=on_epoch
    ).metrics


def _aggregate(done: list[Fold], statistic: Callable[[list[float]], float]) -> dict[str, float]:
    names = done[0].metrics
    return {name: round(statistic([fold.metrics[name] for fold in done]), 6) for name in names}
