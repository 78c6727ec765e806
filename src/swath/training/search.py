"""Searches for hyperparameters: what may vary and how far, and the search itself on this machine.

SageMaker's tuning takes the same description. Here Optuna's tree-structured Parzen estimator
chooses (Bergstra et al. 2011, https://proceedings.neurips.cc/paper/2011/hash/86e8f7ab32cfd12577bc2619bc635690-Abstract.html).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from swath.errors import InputError
from swath.errors.extras import not_installed
from swath.training.options import TrainOptions, read_values

if TYPE_CHECKING:
    from optuna import Study, Trial

Scalar = bool | int | float | str

_JOURNAL = "search.log"
_STUDY = "swath"
_CHOSEN = "chosen"
_SEARCH = "search"


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The values that one option may take: `choices`, or anything from `low` to `high`."""

    choices: tuple[Scalar, ...] = ()
    low: int | float = 0
    high: int | float = 0
    log: bool = False
    """Whether a value's order of magnitude is what counts."""

    def __post_init__(self) -> None:
        if self.choices:
            if self.low or self.high or self.log:
                raise ValueError("it has choices, and bounds as well; give one of them")
        elif not self.low < self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}; low must be less")
        elif self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}; on a logarithmic scale it is above 0")

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is searched for."""

    ranges: dict[str, Range]
    """By the names of options, as the command line has them."""
    metric: str = "ap50"
    """What is compared, of those that a training reports."""
    direction: Literal["maximize", "minimize"] = "maximize"
    trials: Annotated[int, Meta(ge=1, le=500)] = 20
    seed: Annotated[int, Meta(ge=0)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a search found."""

    folder: Path
    """Of the best training."""
    value: float
    """Of the metric."""
    chosen: dict[str, str]
    """The options that it varied."""


def read_search(uri: str, options: TrainOptions) -> Search:
    """Read a JSON or TOML file.

    Raises:
        InputError: it is none, or varies an option that there is not or a value that it cannot
            have.
    """
    try:
        search = msgspec.convert(read_values(uri), Search)
    except FileNotFoundError:
        raise InputError(f"there is no search at {uri}; check the address") from None
    except ValueError as error:  # of json, tomllib and msgspec
        raise InputError(
            f"{uri} describes no search: {error}; it has `ranges`, as ranges.learning_rate = "
            "{ low = 0.0001, high = 0.01 }"
        ) from None
    if not search.ranges:
        raise InputError(f"{uri} varies nothing; give `ranges` the names of options")
    for name, span in search.ranges.items():
        for value in span.choices or (span.low, span.high):
            try:
                options.replaced({name: text_of(value)})
            except InputError as error:
                raise InputError(f"{uri}: {error}") from None
    return search


def is_begun(out: Path) -> bool:
    """Return whether a folder has a search that was begun."""
    return (out / _JOURNAL).is_file()


def text_of(value: Scalar) -> str:
    """A value as a hyperparameter: SageMaker knows strings only."""
    return value if isinstance(value, str) else json.dumps(value)


def run_search(
    search: Search,
    options: TrainOptions,
    train: Callable[[TrainOptions, Path], Mapping[str, float]],
    out: Path,
    data: Mapping[str, str] | None = None,
) -> Outcome:
    """Search on this machine, one training after the other.

    A search that was stopped goes on where it was, with the training that was stopped first.

    Args:
        search: what to vary.
        options: what is the same in all trainings.
        train: given options and a folder of their own, tells the metrics of the model it made.
        out: the folder of the search; each training has a folder in it.
        data: what is learnt from; a search with other data is another one.

    Raises:
        InputError: the trainings do not report the metric, another search is in the folder, or
            Optuna is not installed.
    """
    study = _study(search, out)
    _require_same(study, _identity(search, options, data or {}), out)

    def objective(trial: Trial) -> float:
        chosen = {name: text_of(_suggest(trial, name, r)) for name, r in search.ranges.items()}
        trial.set_user_attr(_CHOSEN, chosen)
        metrics = train(options.replaced(chosen), _folder(out, chosen))
        if search.metric not in metrics:
            known = ", ".join(sorted(metrics)) or "nothing"
            raise InputError(f"trainings report {known}; the search compares {search.metric!r}")
        return metrics[search.metric]

    left = search.trials - _done(study)
    if left > 0:
        study.optimize(objective, n_trials=left)
    chosen = dict(study.best_trial.user_attrs[_CHOSEN])
    return Outcome(folder=_folder(out, chosen), value=study.best_value, chosen=chosen)


def _folder(out: Path, chosen: Mapping[str, str]) -> Path:
    """The same for the same values: a training that was stopped finds its checkpoint there."""
    return out / f"trial-{hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:12]}"


def _done(study: Study) -> int:
    """How many trainings ended well; the others are put first in the queue."""
    trials = study.get_trials()
    done = [trial.params for trial in trials if trial.state.name == "COMPLETE"]
    queued = [trial.system_attrs.get("fixed_params") for trial in trials if not trial.params]
    for trial in trials:
        if trial.params and trial.params not in [*done, *queued]:
            study.enqueue_trial(trial.params)
            queued.append(trial.params)
    return len(done)


def _study(search: Search, out: Path) -> Study:
    try:
        import optuna  # noqa: PLC0415 (a second to import, for this one command)
        from optuna.storages.journal import JournalFileBackend, JournalStorage  # noqa: PLC0415
    except ImportError:
        raise InputError(not_installed("optuna")) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    out.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(out / _JOURNAL))),
        study_name=_STUDY,
        direction=search.direction,
        sampler=optuna.samplers.TPESampler(seed=search.seed),
        load_if_exists=True,
    )


def _identity(search: Search, options: TrainOptions, data: Mapping[str, str]) -> dict[str, str]:
    """Return what makes trainings of a search comparable; there may be more of them later."""
    return {
        "ranges": json.dumps(msgspec.to_builtins(search.ranges), sort_keys=True),
        "metric": f"{search.direction} {search.metric}",
        "options": options.digest,
        **{f"data: {name}": address for name, address in data.items()},
    }


def _require_same(study: Study, identity: Mapping[str, str], out: Path) -> None:
    """Refuse a search whose trainings would be compared with those of another."""
    known = study.user_attrs.get(_SEARCH)
    if known is None:
        study.set_user_attr(_SEARCH, identity)
        return
    other = sorted({*known.items()} ^ {*identity.items()})
    if other:
        raise InputError(
            f"{out} has a search with other {other[0][0]}: give another folder by --out, or the "
            "same search to go on"
        )


def _suggest(trial: Trial, name: str, span: Range) -> Any:
    if span.choices:
        return trial.suggest_categorical(name, span.choices)
    if span.whole:
        return trial.suggest_int(name, int(span.low), int(span.high), log=span.log)
    return trial.suggest_float(name, float(span.low), float(span.high), log=span.log)
