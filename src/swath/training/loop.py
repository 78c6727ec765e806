"""Epoch after epoch, until there is nothing left to do; stopped at any step, it goes on from there.

What a training does next follows from its state alone: the weights, what the optimiser knows of
them, the generator of random numbers, and `Progress`. The state is saved between two steps or two
acts, never within one, so a process that is killed has lost some work and nothing else.
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
"""Told of the figures of each epoch."""


@dataclass(slots=True, kw_only=True)
class Loop:
    """A training under way."""

    options: TrainOptions
    learner: Learner
    feed: Callable[[tuple[HardNegative, ...]], Feed]
    """What cuts crops, given the hard negatives that there are."""
    spec: PackageSpec
    scenes: Collection
    """To train on."""
    validate: Validator | None
    checkpoints: Path | None
    """Where they lie; None: there are none."""
    identity: dict[str, str]
    """What a checkpoint must share with this training."""
    stop: Callable[[], bool]
    tell: Tell
    launch: str = ""
    """Identifier of the launch that this process is part of."""
    progress: Progress = field(default_factory=Progress)
    _since: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)

    def take_up(self) -> bool:
        """Go on from the last checkpoint, if there is one.

        Raises:
            InputError: it is that of another training.
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
            TrainingError: the loss is NaN, or a scene cannot be read.
            TrainingInterruptedError: `stop` said so; a checkpoint is left.
        """
        while not self.progress.finished:
            if not self._epoch_is_over():
                self._steps()
            self._save()
            self._end_epoch()
            self._save()
            # After it is saved, so that whoever is told can rely on it.
            self.tell(self.progress.curves[-1])
        return self.progress

    def _steps(self) -> None:
        """The rest of an epoch, or of the time that there is."""
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
        """The figures of the average as it is now, which is kept if it is the best."""
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
        """Add the time since it was last asked."""
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
    """So many at a time; fewer at the end."""
    coming = iter(batches)
    while some := tuple(islice(coming, count)):
        yield some


def _due(epoch: int, first: int, every: int) -> bool:
    return epoch >= first and (epoch - first) % every == 0
