"""How far a training came, and what it has seen of itself: all of it kept in checkpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from swath.training.data.sampler import HardNegative
from swath.training.validation import Validation

Point = dict[str, float]
"""A row of the curves: figures by name, those of one epoch."""

EPOCHS, PATIENCE, MINUTES = "epochs", "patience", "minutes"
"""Why a training ended: it went all the way, nothing got better, or its time was over."""
STOPPED = "stopped"
"""Of a training that was stopped before its end, and of which a package was written."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """Of one training; every part of it follows from the options, the data and the clock."""

    step: int = 0
    """Updates of the weights so far."""
    ended: int = 0
    """Epochs that were seen to: validated, searched for hard negatives, and told of."""
    seconds: float = 0.0
    """Of all the processes that had a part in it."""
    launch: str = ""
    """What identifies the launch under way; the processes of one launch share it."""
    seconds_before: float = 0.0
    """Seconds that earlier launches spent, which do not count against `minutes`."""
    sums: dict[str, float] = field(default_factory=dict)
    """Of this epoch's steps: the parts of the loss."""
    summed: int = 0
    """How many steps that were."""
    curves: list[Point] = field(default_factory=list)
    """One row an epoch."""
    best: float | None = None
    best_epoch: int = 0
    kept: Validation | None = None
    """Of the weights that would be exported if training ended now."""
    waited: int = 0
    """Validations since the best."""
    negatives: tuple[HardNegative, ...] = ()
    finished: str = ""
    """EPOCHS, PATIENCE or MINUTES; empty while it goes on."""

    def resume(self, launch: str, *, minutes: float | None, steps_per_epoch: int) -> None:
        """Go on as part of a launch, also if the time of what came before was over.

        Args:
            launch: what identifies the launch.
            minutes: how long a launch may take; None for no limit.
            steps_per_epoch: updates of the weights in a whole epoch.
        """
        if launch != self.launch:
            self.launch, self.seconds_before = launch, self.seconds
        if self.finished == MINUTES and not self.time_is_over(minutes):
            self.finished = ""
            # The epoch that the clock cut short is seen to its end.
            self.ended = self.step // steps_per_epoch

    def time_is_over(self, minutes: float | None) -> bool:
        """Return whether this launch has taken so many minutes; never, where None is given."""
        return minutes is not None and self.seconds - self.seconds_before >= 60 * minutes

    def add(self, parts: dict[str, float]) -> None:
        """Take in the loss of a step."""
        self.step += 1
        self.summed += 1
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take_losses(self) -> dict[str, float]:
        """The mean of the loss and of its parts since they were last taken."""
        means = {name: value / self.summed for name, value in self.sums.items()}
        self.sums, self.summed = {}, 0
        return {"loss": sum(means.values())} | {f"loss_{name}": v for name, v in means.items()}

    def judge(self, validation: Validation) -> bool:
        """Whether it is the best so far; of equals, the first is."""
        better = self.best is None or validation.score > self.best
        if better:
            self.best, self.best_epoch, self.waited = validation.score, self.ended, 0
        else:
            self.waited += 1
        return better

    def to_state(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """What `to_state` gave."""
        negatives = tuple(
            HardNegative(**{**one, "box": tuple(one["box"])}) for one in state["negatives"]
        )
        kept = Validation(**state["kept"]) if state["kept"] else None
        return cls(**{**state, "negatives": negatives, "kept": kept})
