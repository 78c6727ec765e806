"""Run the epochs of a training, which can be stopped after any step and resumed from there.

The state alone decides what a training does next: the weights, the optimizer's state, the state
of the random number generator, and `TrainProgress`. The state is saved between steps, and before
and after the end of an epoch, but never within either. A process that is killed therefore loses
only the work since its last checkpoint.
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
from swath.training.hard_negatives import mine_hard_negatives
from swath.training.package_spec import with_hyperparameters
from swath.training.predict_scenes import ScenePredictor
from swath.training.progress import (
    ALL_EPOCHS_DONE,
    NO_IMPROVEMENT,
    TIME_LIMIT_REACHED,
    EpochMetrics,
    TrainProgress,
)

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.packaging.write_mlm import PackageSpec
    from swath.training.data.sampler import HardNegative
    from swath.training.loader import Batch, BatchLoader
    from swath.training.options import TrainOptions
    from swath.training.train_step import TrainStep
    from swath.training.validation import Validator

EpochCallback = Callable[[EpochMetrics], None]
"""Function that is called with the metrics of each epoch."""


@dataclass(slots=True, kw_only=True)
class TrainLoop:
    """A running training."""

    options: TrainOptions
    train_step: TrainStep
    """Network with its optimizer and averaged weights."""
    make_loader: Callable[[tuple[HardNegative, ...]], BatchLoader]
    """Function that returns the loader of batches, given the current hard negatives."""
    spec: PackageSpec
    """Package spec of the network, for validation and for the search for hard negatives."""
    scenes: Collection
    """Scenes to train on."""
    validator: Validator | None
    """Validator of the network; None for a training without validation."""
    checkpoints: Path | None
    """Folder of the checkpoints; None for a training that cannot be resumed."""
    identity: dict[str, str]
    """Digests of the options and the data, which a checkpoint must share with this training."""
    stop: Callable[[], bool]
    """Function that is called after each step and during validation; True stops the training."""
    on_epoch: EpochCallback
    """Function that is called with the metrics of each epoch."""
    launch: str = ""
    """Identifier of the launch that this process is part of."""
    progress: TrainProgress = field(default_factory=TrainProgress)
    _counted_until: float = field(default_factory=time.monotonic)
    """Monotonic time in seconds up to which the training's duration is counted."""
    _saved_at: float = field(default_factory=time.monotonic)
    """Monotonic time in seconds of the last checkpoint."""

    def resume(self) -> bool:
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
        self.train_step.load_state_dict(state["learner"])
        self.progress = TrainProgress.from_state(state["progress"])
        self.progress.resume(
            self.launch,
            minutes=self.options.minutes,
            steps_per_epoch=self.options.steps_per_epoch,
        )
        return True

    def run(self) -> TrainProgress:
        """Train to the end.

        Raises:
            TrainingError: The loss or its gradient is infinite or NaN, or a scene cannot be read.
            TrainingInterruptedError: `stop` returned True; a checkpoint was saved.
        """
        while not self.progress.finished:
            if not self._is_epoch_over():
                self._run_steps()
            self._save_checkpoint()
            self._finish_epoch()
            self._save_checkpoint()
            # The epoch is saved first, so that reported metrics are never lost.
            self.on_epoch(self.progress.curves[-1])
        return self.progress

    def _run_steps(self) -> None:
        """Train until the epoch or the time limit is over."""
        done = self.progress.step - self.progress.ended * self.options.steps_per_epoch
        loader = self.make_loader(self.progress.negatives)
        stream = loader.iter_epoch(self.progress.ended, done * self.options.accumulate)
        with closing(stream):
            for batches in _group_batches(stream, self.options.accumulate):
                self.progress.add(self.train_step.run(self.progress.step, batches))
                self._count_time()
                if self.stop():
                    self._save_checkpoint()
                    raise TrainingInterruptedError(
                        f"stopped after step {self.progress.step} of {self.options.steps}; "
                        "run it again to resume"
                    )
                if self._is_epoch_over():
                    return
                if time.monotonic() - self._saved_at >= self.options.checkpoint_seconds:
                    self._save_checkpoint()

    def _is_epoch_over(self) -> bool:
        progress = self.progress
        all_steps_done = progress.step >= (progress.ended + 1) * self.options.steps_per_epoch
        return all_steps_done or self._is_out_of_time()

    def _is_out_of_time(self) -> bool:
        return self.progress.is_out_of_time(self.options.minutes)

    def _finish_epoch(self) -> None:
        progress = self.progress
        epoch = progress.ended = progress.ended + 1
        metrics: EpochMetrics = {
            "epoch": epoch,
            "step": progress.step,
            "learning_rate": self.train_step.learning_rate(max(0, progress.step - 1)),
            **(progress.pop_mean_losses() if progress.summed else {}),
        }
        is_out_of_time = self._is_out_of_time()
        is_last = is_out_of_time or epoch == self.options.epochs
        if self.validator is not None and (is_last or _is_due(epoch, *self._validation_schedule)):
            metrics |= self._validate(self.validator)
        if is_out_of_time:
            progress.finished = TIME_LIMIT_REACHED
        elif is_last:
            progress.finished = ALL_EPOCHS_DONE
        elif 0 < self.options.patience <= progress.waited:
            progress.finished = NO_IMPROVEMENT
        elif self.options.hard_negatives and _is_due(epoch, *self._mining_schedule):
            predictor = self._scene_predictor(
                {"score_threshold": self.options.hard_negatives_score}
            )
            progress.negatives = mine_hard_negatives(
                predictor, self.scenes, min_score=self.options.hard_negatives_score
            )
            metrics["hard_negatives"] = len(progress.negatives)
        self._count_time()
        progress.curves.append(metrics | {"seconds": round(progress.seconds, 3)})

    @property
    def _validation_schedule(self) -> tuple[int, int]:
        return self.options.validate_from, self.options.validate_every

    @property
    def _mining_schedule(self) -> tuple[int, int]:
        return self.options.hard_negatives_from, self.options.hard_negatives_every

    def _validate(self, validator: Validator) -> EpochMetrics:
        """Validate the averaged weights, keep them if they are the best, and return the metrics."""
        validation = validator(self._scene_predictor(validator.hyperparameters))
        is_best = self.progress.record_validation(validation)
        if self.options.keep == "last":
            self.progress.kept = validation
        elif is_best:
            self.progress.kept = validation
            self.train_step.keep_best()
        return validation.metrics

    def _scene_predictor(self, hyperparameters: dict[str, Any]) -> ScenePredictor:
        return ScenePredictor(
            self.train_step.ema.network,
            with_hyperparameters(self.spec, hyperparameters),
            self.train_step.device,
            stop=self.stop,
        )

    def _count_time(self) -> None:
        """Add the time since the last call to the training's seconds."""
        now = time.monotonic()
        self.progress.seconds += now - self._counted_until
        self._counted_until = now

    def _save_checkpoint(self) -> None:
        if self.checkpoints is None:
            return
        state = {"learner": self.train_step.state_dict(), "progress": self.progress.to_state()}
        save_checkpoint(self.checkpoints, state, identity=self.identity)
        self._saved_at = time.monotonic()


def _group_batches(batches: Iterable[Batch], count: int) -> Iterator[tuple[Batch, ...]]:
    """Yield batches in groups of `count`; the last group may be smaller."""
    iterator = iter(batches)
    while group := tuple(islice(iterator, count)):
        yield group


def _is_due(epoch: int, first: int, every: int) -> bool:
    return epoch >= first and (epoch - first) % every == 0
