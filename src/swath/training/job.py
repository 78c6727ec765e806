"""A training from addresses and strings: what the command line and the container both run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self, get_args

from swath.errors import InputError
from swath.labels.formats import Form
from swath.labels.read import read_collection
from swath.storage.output_folder import clear
from swath.training.contract import CHECKPOINT
from swath.training.cross_validation import CHECKPOINTS, cross_validate
from swath.training.option_values import parsed, string_list
from swath.training.options import TrainOptions
from swath.training.train import OUTPUTS, train

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.training.cross_validation import CrossValidation
    from swath.training.loop import Tell
    from swath.training.report import TrainReport


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """How to train, and how to read the labels."""

    options: TrainOptions
    form: Form = "auto"
    classes: tuple[str, ...] | None = None
    """Their names, in the order wanted; None: those of the labels to train on."""
    class_map: Mapping[str, str] = field(default_factory=dict)
    """Classes of the labels, and the names that they have in the model."""

    @classmethod
    def of(cls, options: TrainOptions, of_labels: Mapping[str, str]) -> Self:
        """A job from options and what strings say of the labels.

        Args:
            options: how to train.
            of_labels: `form`, `classes` and `map` (a JSON object), as far as they are given.

        Raises:
            InputError: a value is not possible; the message names it and what is allowed.
        """
        known: tuple[Form, ...] = get_args(Form)
        given = of_labels.get("form", "auto")
        form = next((form for form in known if form == given), None)
        if form is None:
            raise InputError(f"form is {given!r}; choose one of {', '.join(known)}")
        return cls(
            options=options,
            form=form,
            classes=string_list("classes", of_labels["classes"])
            if of_labels.get("classes")
            else None,
            class_map=parsed("map", of_labels["map"], dict[str, str])
            if of_labels.get("map")
            else {},
        )

    def run(
        self,
        *,
        labels: str | None,
        images: str,
        val_labels: str | None,
        val_images: str | None,
        out: Path,
        checkpoints: Path | None,
        stop: Callable[[], bool],
        tell: Tell,
        launch: str = "",
        export_if_stopped: bool = False,
    ) -> TrainReport:
        """Read the labels and train.

        Args:
            labels: to train by; None: they lie with the images.
            images: the folder of the scenes to train on.
            val_labels: to validate by; None: they lie with `val_images`, or there are none.
            val_images: the folder of those scenes; None: they are among `images`.
            out: see `train`, as for the others.
            checkpoints: see there.
            stop: see there.
            tell: see there.
            launch: see there.
            export_if_stopped: see there.

        Raises:
            SwathError: as `read_collection` and `train` raise it.
        """
        known = self._read(labels, images, self.classes)
        val: Collection | None = None
        if val_labels is not None or val_images is not None:
            where = images if val_images is None else val_images
            val = self._read(val_labels, where, known.classes, all_mapped=False)
        return train(
            self.options,
            known,
            val,
            out,
            checkpoints=checkpoints,
            stop=stop,
            tell=tell,
            launch=launch,
            export_if_stopped=export_if_stopped,
        )

    def run_in(
        self,
        out: Path,
        *,
        labels: str | None,
        images: str,
        val_labels: str | None,
        val_images: str | None,
        resume: bool,
        stop: Callable[[], bool],
        tell: Tell,
    ) -> TrainReport:
        """Train in a folder of this machine, whose folder `checkpoints` has the checkpoint.

        Args:
            out: Folder to write to; without `resume`, an earlier training's files are removed.
            labels: Labels to train by; None where they lie beside the images.
            images: Folder of the scenes to train on.
            val_labels: Labels to validate by; None for none, or beside `val_images`.
            val_images: Folder of the scenes to validate on; None where they are among `images`.
            resume: Whether to go on from the checkpoint in `out`.
            stop: Called after each step; once it returns True, the training leaves a checkpoint.
            tell: Called with the metrics of each epoch.

        Raises:
            InputError: There is a checkpoint without `resume`, or none with it.
            SwathError: As `run` raises it.
        """
        checkpoints = out / CHECKPOINTS
        _check_checkpoint(checkpoints, resume=resume)
        if not resume:
            clear(out, OUTPUTS)
        return self.run(
            labels=labels,
            images=images,
            val_labels=val_labels,
            val_images=val_images,
            out=out,
            checkpoints=checkpoints,
            stop=stop,
            tell=tell,
        )

    def cross_validate(
        self,
        *,
        labels: str | None,
        images: str,
        count: int,
        out: Path,
        stop: Callable[[], bool],
        tell: Callable[[int], Tell],
    ) -> CrossValidation:
        """Read the labels and train once for each fold of their scenes.

        Args:
            labels: of all scenes; None: they lie with the images.
            images: the folder of the scenes.
            count: of folds.
            out: see `cross_validate`, as for the others.
            stop: see there.
            tell: see there.

        Raises:
            SwathError: as `read_collection` and `cross_validate` raise it.
        """
        known = self._read(labels, images, self.classes)
        return cross_validate(self.options, known, count, out, stop=stop, tell=tell)

    def _read(
        self,
        labels: str | None,
        images: str,
        classes: Sequence[str] | None,
        *,
        all_mapped: bool = True,
    ) -> Collection:
        return read_collection(
            labels,
            images,
            form=self.form,
            classes=classes,
            class_map=self.class_map,
            all_mapped=all_mapped,
        )


def _check_checkpoint(checkpoints: Path, *, resume: bool) -> None:
    """Refuse to go on unasked, and to go on with nothing."""
    begun = (checkpoints / CHECKPOINT).is_file()
    if begun and not resume:
        raise InputError(
            f"{checkpoints} has the checkpoint of a training: go on with it by --resume, or give "
            "another --out"
        )
    if resume and not begun:
        raise InputError(f"{checkpoints} has no checkpoint to go on from: leave --resume out")
