"""Track the progress of a training, as checkpoints keep it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from swath.training.data.sampler import HardNegative
from swath.training.validation import Validation

EpochMetrics = dict[str, float]
"""Metrics of one epoch by name: a row of the curves."""

ALL_EPOCHS_DONE, NO_IMPROVEMENT, TIME_LIMIT_REACHED = "epochs", "patience", "minutes"
"""Reasons why a training ended: all epochs done, no improvement, or time limit reached."""
STOPPED = "stopped"
"""Reason for a training that was stopped before its end and whose package was written."""


@dataclass(slots=True, kw_only=True)
class TrainProgress:
    """Progress of one training; it depends only on the options, the data and the clock."""

    step: int = 0
    """Number of updates of the weights so far."""
    ended: int = 0
    """Number of epochs that are complete, with validation and search for hard negatives."""
    seconds: float = 0.0
    """Duration of the training in seconds, over all its processes."""
    launch: str = ""
    """Identifier of the current launch, which the processes of a launch share."""
    seconds_before: float = 0.0
    """Seconds that earlier launches spent, which do not count against `minutes`."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of the parts of the loss over this epoch's steps, by name."""
    summed: int = 0
    """Number of steps in `sums`."""
    curves: list[EpochMetrics] = field(default_factory=list)
    """Metrics of each epoch."""
    best: float | None = None
    """Best validation score so far; None before the first validation."""
    best_epoch: int = 0
    """Epoch of the best validation, counted from 1; 0 before the first validation."""
    kept: Validation | None = None
    """Validation of the weights that would be exported if training ended now."""
    waited: int = 0
    """Number of validations since the best one."""
    negatives: tuple[HardNegative, ...] = ()
    """Hard negatives of the last search."""
    finished: str = ""
    """Reason for the end: ALL_EPOCHS_DONE, NO_IMPROVEMENT or TIME_LIMIT_REACHED; or empty."""

    def resume(self, launch: str, *, minutes: float | None, steps_per_epoch: int) -> None:
        """Resume as part of a launch, even if an earlier launch reached its time limit.

        Args:
            launch: Identifier of the launch.
            minutes: Time limit of a launch in minutes; None for no limit.
            steps_per_epoch: Number of updates of the weights in a whole epoch.
        """
        if launch != self.launch:
            self.launch, self.seconds_before = launch, self.seconds
        if self.finished == TIME_LIMIT_REACHED and not self.is_out_of_time(minutes):
            self.finished = ""
            # The epoch that the time limit cut short continues.
            self.ended = self.step // steps_per_epoch

    def is_out_of_time(self, minutes: float | None) -> bool:
        """Return whether this launch has reached its time limit; False for a limit of None."""
        return minutes is not None and self.seconds - self.seconds_before >= 60 * minutes

    def add(self, parts: dict[str, float]) -> None:
        """Count a step and add the parts of its loss to the sums."""
        self.step += 1
        self.summed += 1
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def pop_mean_losses(self) -> dict[str, float]:
        """Return the mean loss and its mean parts since the last call, and reset the sums."""
        means = {name: value / self.summed for name, value in self.sums.items()}
        self.sums, self.summed = {}, 0
        return {"loss": sum(means.values())} | {f"loss_{name}": v for name, v in means.items()}

    def record_validation(self, validation: Validation) -> bool:
        """Return whether a validation is the best so far, and record it; ties keep the first."""
        is_best = self.best is None or validation.score > self.best
        if is_best:
            self.best, self.best_epoch, self.waited = validation.score, self.ended, 0
        else:
            self.waited += 1
        return is_best

    def to_state(self) -> dict[str, Any]:
        """Return the progress as plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Create the progress from the plain values that `to_state` returned."""
        negatives = tuple(
            HardNegative(**{**one, "box": tuple(one["box"])}) for one in state["negatives"]
        )
        kept = Validation(**state["kept"]) if state["kept"] else None
        return cls(**{**state, "negatives": negatives, "kept": kept})
