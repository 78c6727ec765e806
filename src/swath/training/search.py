"""Read searches for hyperparameters, and run them on this machine.

SageMaker's tuning takes the same description of a search. On this machine, Optuna's
tree-structured Parzen estimator selects the values (Bergstra et al. 2011,
https://proceedings.neurips.cc/paper/2011/hash/86e8f7ab32cfd12577bc2619bc635690-Abstract.html).
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
from swath.errors.extras import missing_module_message
from swath.training.options import TrainOptions, read_values

if TYPE_CHECKING:
    from optuna import Study, Trial

Scalar = bool | int | float | str

_JOURNAL_FILE = "search.log"
_STUDY_NAME = "swath"
_VALUES_ATTRIBUTE = "chosen"
_IDENTITY_ATTRIBUTE = "search"


class OptionRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Range of the values of one option: `choices`, or any number from `low` to `high`."""

    choices: tuple[Scalar, ...] = ()
    """Values to choose from; empty for a range of numbers."""
    low: int | float = 0
    """Lowest value."""
    high: int | float = 0
    """Highest value."""
    log: bool = False
    """Whether values are searched on a logarithmic scale."""

    def __post_init__(self) -> None:
        if self.choices:
            if self.low or self.high or self.log:
                raise ValueError("it has both choices and bounds; give one of them")
        elif not self.low < self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}; low must be less")
        elif self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}; a logarithmic scale needs a value above 0")

    @property
    def is_integer(self) -> bool:
        """True if all values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search for hyperparameters."""

    ranges: dict[str, OptionRange]
    """Range of each option that varies, by the option's name on the command line."""
    metric: str = "ap50"
    """Name of the validation metric that trainings are compared by."""
    direction: Literal["maximize", "minimize"] = "maximize"
    """Direction in which the metric improves."""
    trials: Annotated[int, Meta(ge=1, le=500)] = 20
    """Number of trainings."""
    seed: Annotated[int, Meta(ge=0)] = 0
    """Seed of the search's random choices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """Best training of a search."""

    folder: Path
    """Folder of the best training."""
    value: float
    """Value of the metric."""
    chosen: dict[str, str]
    """Values of the options that the search varied, by name."""


def read_search(uri: str, options: TrainOptions) -> Search:
    """Read a search from a JSON or TOML file.

    Args:
        uri: Path or S3 URI of the file.
        options: Options of the trainings, which the search varies.

    Raises:
        InputError: The file describes no search, or varies an unknown option, or has a value that
            an option does not allow.
    """
    try:
        search = msgspec.convert(read_values(uri), Search)
    except FileNotFoundError:
        raise InputError(f"the search {uri} does not exist; check the address") from None
    except ValueError as error:  # from json, tomllib or msgspec
        raise InputError(
            f"{uri} is not a search: {error}; it needs `ranges`, as ranges.learning_rate = "
            "{ low = 0.0001, high = 0.01 }"
        ) from None
    if not search.ranges:
        raise InputError(f"{uri} has no ranges; add the options to vary to `ranges`")
    for name, option_range in search.ranges.items():
        for value in option_range.choices or (option_range.low, option_range.high):
            try:
                options.replaced({name: to_hyperparameter(value)})
            except InputError as error:
                raise InputError(f"{uri}: {error}") from None
    return search


def has_search(out: Path) -> bool:
    """Return whether a folder has a search that has begun."""
    return (out / _JOURNAL_FILE).is_file()


def to_hyperparameter(value: Scalar) -> str:
    """Return a value as a hyperparameter, which is always a string on SageMaker."""
    return value if isinstance(value, str) else json.dumps(value)


def run_search(
    search: Search,
    options: TrainOptions,
    train: Callable[[TrainOptions, Path], Mapping[str, float]],
    out: Path,
    data: Mapping[str, str] | None = None,
) -> SearchResult:
    """Run a search on this machine, one training after the other.

    A search that was stopped resumes, beginning with the training that was interrupted.

    Args:
        search: Options to vary, and their ranges.
        options: Options that all trainings share.
        train: Function that trains with options in a folder and returns the model's metrics.
        out: Folder of the search; each training has a folder in it.
        data: Addresses of the training data by name, which identify the search along with its
            options.

    Raises:
        InputError: The trainings do not report the metric, another search is in the folder, or
            Optuna is not installed.
    """
    study = _open_study(search, out)
    _require_same(study, _identity(search, options, data or {}), out)

    def objective(trial: Trial) -> float:
        chosen = {
            name: to_hyperparameter(_suggest(trial, name, r)) for name, r in search.ranges.items()
        }
        trial.set_user_attr(_VALUES_ATTRIBUTE, chosen)
        metrics = train(options.replaced(chosen), _trial_folder(out, chosen))
        if search.metric not in metrics:
            known = ", ".join(sorted(metrics)) or "nothing"
            raise InputError(f"trainings report {known}, but the search compares {search.metric!r}")
        return metrics[search.metric]

    left = search.trials - _count_completed(study)
    if left > 0:
        study.optimize(objective, n_trials=left)
    chosen = dict(study.best_trial.user_attrs[_VALUES_ATTRIBUTE])
    return SearchResult(folder=_trial_folder(out, chosen), value=study.best_value, chosen=chosen)


def _trial_folder(out: Path, chosen: Mapping[str, str]) -> Path:
    """Return the folder of a training, which depends only on its values.

    A training that is run again with the same values resumes from the checkpoint in its folder.
    """
    return out / f"trial-{hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:12]}"


def _count_completed(study: Study) -> int:
    """Return the number of completed trainings, and queue the others to run first."""
    trials = study.get_trials()
    done = [trial.params for trial in trials if trial.state.name == "COMPLETE"]
    queued = [trial.system_attrs.get("fixed_params") for trial in trials if not trial.params]
    for trial in trials:
        if trial.params and trial.params not in [*done, *queued]:
            study.enqueue_trial(trial.params)
            queued.append(trial.params)
    return len(done)


def _open_study(search: Search, out: Path) -> Study:
    try:
        import optuna  # noqa: PLC0415 (takes a second to import, and only this command needs it)
        from optuna.storages.journal import JournalFileBackend, JournalStorage  # noqa: PLC0415
    except ImportError:
        raise InputError(missing_module_message("optuna")) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    out.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(out / _JOURNAL_FILE))),
        study_name=_STUDY_NAME,
        direction=search.direction,
        sampler=optuna.samplers.TPESampler(seed=search.seed),
        load_if_exists=True,
    )


def _identity(search: Search, options: TrainOptions, data: Mapping[str, str]) -> dict[str, str]:
    """Return what trainings of a search must share; the number of trials may change."""
    return {
        "ranges": json.dumps(msgspec.to_builtins(search.ranges), sort_keys=True),
        "metric": f"{search.direction} {search.metric}",
        "options": options.digest,
        **{f"data: {name}": address for name, address in data.items()},
    }


def _require_same(study: Study, identity: Mapping[str, str], out: Path) -> None:
    """Refuse a search in a folder that has trainings of another search."""
    known = study.user_attrs.get(_IDENTITY_ATTRIBUTE)
    if known is None:
        study.set_user_attr(_IDENTITY_ATTRIBUTE, identity)
        return
    differing = sorted({*known.items()} ^ {*identity.items()})
    if differing:
        raise InputError(
            f"{out} has a search with other {differing[0][0]}; give another --out, or the same "
            "search to resume"
        )


def _suggest(trial: Trial, name: str, option_range: OptionRange) -> Any:
    if option_range.choices:
        return trial.suggest_categorical(name, option_range.choices)
    if option_range.is_integer:
        return trial.suggest_int(
            name, int(option_range.low), int(option_range.high), log=option_range.log
        )
    return trial.suggest_float(
        name, float(option_range.low), float(option_range.high), log=option_range.log
    )
