"""Run the epochs of a training, which can be stopped after any step and resumed from there.

The state alone decides what a training does next: the weights, the optimizer's state, the state
of the random number generator, and `Progress`. The state is saved between steps, and before and
after the end of an epoch, but never within either. A process that is killed therefore loses only
the work since its last checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.errors import TrainingInterruptedError
from swath.training.checkpoint import load_checkpoint, save_checkpoint
from swath.training.hard_negatives import find_hard_negatives
from swath.training.package_spec import with_hyperparameters
from swath.training.predict_scenes import Observer
from swath.training.progress import EPOCHS, MINUTES, PATIENCE, Point, Progress

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.packaging.write_mlm import PackageSpec
    from swath.training.data.sampler import HardNegative
    from swath.training.learner import Learner
    from swath.training.loader import Batch, Feed
    from swath.training.options import TrainOptions
    from swath.training.validation import Validator

Tell = Callable[[Point], None]
"""Function that is called with the metrics of each epoch."""


@dataclass(slots=True, kw_only=True)
class Loop:
    """A running training."""

    options: TrainOptions
    learner: Learner
    """Network with its optimizer and averaged weights."""
    feed: Callable[[tuple[HardNegative, ...]], Feed]
    """Function that returns the feed of crops, given the current hard negatives."""
    spec: PackageSpec
    """Package spec of the network, for validation and for the search for hard negatives."""
    scenes: Collection
    """Scenes to train on."""
    validate: Validator | None
    """Validator of the network; None for a training without validation."""
    checkpoints: Path | None
    """Folder of the checkpoints; None for a training that cannot be resumed."""
    identity: dict[str, str]
    """Digests of the options and the data, which a checkpoint must share with this training."""
    stop: Callable[[], bool]
    """Function that is called after each step, and during validation; True stops the training."""
    tell: Tell
    """Function that is called with the metrics of each epoch."""
    launch: str = ""
    """Identifier of the launch that this process is part of."""
    progress: Progress = field(default_factory=Progress)
    _since: float = field(default_factory=time.monotonic)
    """Monotonic time in seconds up to which the training's duration is counted."""
    _saved: float = field(default_factory=time.monotonic)
    """Monotonic time in seconds of the last checkpoint."""

    def take_up(self) -> bool:
        """Resume from the last checkpoint and return True, or return False if there is none.

        Raises:
            InputError: The checkpoint is from another training, or cannot be read.
        """
        self.progress.launch = self.launch
        if self.checkpoints is None:
            return False
        state = load_checkpoint(self.checkpoints, identity=self.identity)
        if state is None:
            return False
        self.learner.take_up(state["learner"])
        self.progress = Progress.from_state(state["progress"])
        self.progress.resume(
            self.launch,
            minutes=self.options.minutes,
            steps_per_epoch=self.options.steps_per_epoch,
        )
        return True

    def run(self) -> Progress:
        """Train to the end.

        Raises:
            TrainingError: The loss or its gradient is infinite or NaN, or a scene cannot be read.
            TrainingInterruptedError: `stop` returned True; a checkpoint was saved.
        """
        while not self.progress.finished:
            if not self._epoch_is_over():
                self._steps()
            self._save()
            self._end_epoch()
            self._save()
            # The epoch is saved first, so that reported metrics are never lost.
            self.tell(self.progress.curves[-1])
        return self.progress

    def _steps(self) -> None:
        """Train until the epoch or the time limit is over."""
        done = self.progress.step - self.progress.ended * self.options.steps_per_epoch
        feed = self.feed(self.progress.negatives)
        coming = feed.epoch(self.progress.ended, done * self.options.accumulate)
        with closing(coming):
            for batches in _together(coming, self.options.accumulate):
                self.progress.add(self.learner.step(self.progress.step, batches))
                self._clock()
                if self.stop():
                    self._save()
                    raise TrainingInterruptedError(
                        f"stopped after step {self.progress.step} of {self.options.steps}; "
                        "the training goes on from there when it is run again"
                    )
                if self._epoch_is_over():
                    return
                if time.monotonic() - self._saved >= self.options.checkpoint_seconds:
                    self._save()

    def _epoch_is_over(self) -> bool:
        progress = self.progress
        all_seen = progress.step >= (progress.ended + 1) * self.options.steps_per_epoch
        return all_seen or self._time_is_over()

    def _time_is_over(self) -> bool:
        return self.progress.time_is_over(self.options.minutes)

    def _end_epoch(self) -> None:
        progress = self.progress
        epoch = progress.ended = progress.ended + 1
        point: Point = {
            "epoch": epoch,
            "step": progress.step,
            "learning_rate": self.learner.rate(max(0, progress.step - 1)),
            **(progress.take_losses() if progress.summed else {}),
        }
        over = self._time_is_over()
        last = over or epoch == self.options.epochs
        if self.validate is not None and (last or _due(epoch, *self._validations)):
            point |= self._validated(self.validate)
        if over:
            progress.finished = MINUTES
        elif last:
            progress.finished = EPOCHS
        elif 0 < self.options.patience <= progress.waited:
            progress.finished = PATIENCE
        elif self.options.hard_negatives and _due(epoch, *self._searches):
            observer = self._observer({"score_threshold": self.options.hard_negatives_score})
            progress.negatives = find_hard_negatives(
                observer, self.scenes, least_score=self.options.hard_negatives_score
            )
            point["hard_negatives"] = len(progress.negatives)
        self._clock()
        progress.curves.append(point | {"seconds": round(progress.seconds, 3)})

    @property
    def _validations(self) -> tuple[int, int]:
        return self.options.validate_from, self.options.validate_every

    @property
    def _searches(self) -> tuple[int, int]:
        return self.options.hard_negatives_from, self.options.hard_negatives_every

    def _validated(self, validate: Validator) -> Point:
        """Validate the averaged weights, keep them if they are the best, and return the metrics."""
        found = validate(self._observer(validate.hyperparameters))
        better = self.progress.judge(found)
        if self.options.keep == "last":
            self.progress.kept = found
        elif better:
            self.progress.kept = found
            self.learner.keep_best()
        return found.metrics

    def _observer(self, hyperparameters: dict[str, Any]) -> Observer:
        return Observer(
            self.learner.average.network,
            with_hyperparameters(self.spec, hyperparameters),
            self.learner.device,
            stop=self.stop,
        )

    def _clock(self) -> None:
        """Add the time since the last call to the training's seconds."""
        now = time.monotonic()
        self.progress.seconds += now - self._since
        self._since = now

    def _save(self) -> None:
        if self.checkpoints is None:
            return
        state = {"learner": self.learner.state(), "progress": self.progress.to_state()}
        save_checkpoint(self.checkpoints, state, identity=self.identity)
        self._saved = time.monotonic()


def _together(batches: Iterable[Batch], count: int) -> Iterator[tuple[Batch, ...]]:
    """Yield batches in groups of `count`; the last group may be smaller."""
    coming = iter(batches)
    while some := tuple(islice(coming, count)):
        yield some


def _due(epoch: int, first: int, every: int) -> bool:
    return epoch >= first and (epoch - first) % every == 0
