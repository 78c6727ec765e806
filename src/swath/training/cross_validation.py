"""How good a model made with some options would be on scenes like these that it never saw.

Each fold of the scenes is held out of one training and measured by it (Stone 1974,
https://doi.org/10.1111/j.2517-6161.1974.tb00994.x). Options that are chosen by these figures have
not seen the scenes that the model is judged by in the end.
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
    """One training, and how good it was on the scenes that were held out."""

    scenes: tuple[str, ...]
    objects: int
    metrics: dict[str, float]


class CrossValidation(Payload, frozen=True, kw_only=True):
    """All of them: the content of `folds.json`."""

    folds: tuple[Fold, ...]
    mean: dict[str, float]
    """Of each metric over the folds."""
    deviation: dict[str, float]
    """Standard deviation over the folds."""
    options: dict[str, Any]


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

    The last weights are measured, once: nothing is chosen by the scenes that are held out. Folds
    that are done are not trained again, and one that was stopped goes on.

    Args:
        options: of all trainings.
        collection: what is split, by scenes.
        count: of folds.
        out: a folder; those of the folds are `fold-1` and so on.
        stop: as for `train`.
        tell: given the number of a fold, from 1, whom to tell of its training.

    Raises:
        LabelsError: so many folds cannot be made.
        InputError: the options hold scenes out themselves, or another training is in a folder.
        TrainingInterruptedError: `stop` said so; called again, it goes on.
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
    """Those of one training, which may be there already."""
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
