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
from swath.storage.earlier_outputs import Output, json_with
from swath.storage.output_folder import clear
from swath.training.options import TrainOptions
from swath.training.report import METRICS
from swath.training.train import train

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.training.loop import Tell

FOLDS = "folds.json"
CHECKPOINTS = "checkpoints"


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
    tell: Callable[[int], Tell],
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
        tell: Function that returns the receiver of a fold's metrics, given the fold's number
            from 1.

    Raises:
        LabelsError: There are fewer than two folds, or fewer scenes than folds.
        InputError: The option `held_out` is given, or a fold's folder has another training.
        TrainingInterruptedError: `stop` returned True; another call resumes.
    """
    if options.held_out:
        raise InputError(
            f"held_out is {', '.join(options.held_out)}, and each fold holds out its own scenes: "
            "leave held_out out"
        )
    clear(out, [Output(FOLDS, json_with("folds", "mean"))])
    done = []
    for number, (_, held_out) in enumerate(folds(collection, count), 1):
        names = tuple(scene.uri for scene in held_out.scenes)
        folder = out / f"fold-{number}"
        metrics = _metrics(_of_fold(options, names), collection, folder, stop, tell(number))
        objects = sum(int((~scene.crowd).sum()) for scene in held_out.scenes)
        scenes = tuple(scene.name for scene in held_out.scenes)
        done.append(Fold(scenes=scenes, objects=objects, metrics=dict(metrics)))
    found = CrossValidation(
        folds=tuple(done),
        mean=_over(done, statistics.fmean),
        deviation=_over(done, statistics.pstdev),
        options=options.to_json(),
    )
    text = json.dumps(found.to_json(), indent=2) + "\n"
    storage.write_bytes(str(out / FOLDS), text.encode())
    return found


def _of_fold(options: TrainOptions, names: tuple[str, ...]) -> TrainOptions:
    return msgspec.structs.replace(
        options, held_out=names, keep="last", patience=0, validate_from=options.epochs
    )


def _metrics(
    options: TrainOptions,
    collection: Collection,
    folder: Path,
    stop: Callable[[], bool],
    tell: Tell,
) -> Mapping[str, float]:
    """Return the metrics of a fold's training, which is run unless its folder has its metrics.

    Raises:
        InputError: The folder has a training with other options, scenes or labels.
    """
    made = folder / METRICS
    if made.is_file():
        known = json.loads(made.read_bytes())
        same = TrainOptions.from_values(known["options"]).digest == options.digest
        learnt_from = collection.without(options.held_out).digest
        if not same or known["data"]["training"]["digest"] != learnt_from:
            raise InputError(
                f"{folder} has a training with other options, scenes or labels: give another folder"
            )
        metrics: dict[str, float] = known["metrics"]
        return metrics
    checkpoints = folder / CHECKPOINTS
    return train(
        options, collection, None, folder, checkpoints=checkpoints, stop=stop, tell=tell
    ).metrics


def _over(done: list[Fold], mean: Callable[[list[float]], float]) -> dict[str, float]:
    names = done[0].metrics
    return {name: round(mean([fold.metrics[name] for fold in done]), 6) for name in names}
