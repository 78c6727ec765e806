"""Run a training from addresses and strings, for both the command line and the container."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self, get_args

from swath.errors import InputError
from swath.labels.formats import LabelFormat
from swath.labels.read import read_collection
from swath.storage.output_folder import clear_outputs
from swath.training.contract import CHECKPOINT_FILE
from swath.training.cross_validation import CHECKPOINT_FOLDER, cross_validate
from swath.training.option_values import parse_string_list, parse_value
from swath.training.options import TrainOptions
from swath.training.train import OUTPUTS, train

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.training.cross_validation import CrossValidation
    from swath.training.loop import EpochCallback
    from swath.training.report import TrainReport


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRunner:
    """Options of a training, and of reading its labels."""

    options: TrainOptions
    form: LabelFormat = "auto"
    """Format of the labels."""
    classes: tuple[str, ...] | None = None
    """Class names in the model's order; None for those of the training labels."""
    class_map: Mapping[str, str] = field(default_factory=dict)
    """Names of the classes in the model, by their names in the labels."""

    @classmethod
    def from_strings(cls, options: TrainOptions, label_options: Mapping[str, str]) -> Self:
        """Create a runner from options and from strings that describe the labels.

        Args:
            options: Training options.
            label_options: Any of `form`, `classes` and `map` (a JSON object).

        Raises:
            InputError: A value is not allowed. The message has the value and what is allowed.
        """
        forms: tuple[LabelFormat, ...] = get_args(LabelFormat)
        requested = label_options.get("form", "auto")
        form = next((form for form in forms if form == requested), None)
        if form is None:
            raise InputError(f"form is {requested!r}; choose one of {', '.join(forms)}")
        return cls(
            options=options,
            form=form,
            classes=parse_string_list("classes", label_options["classes"])
            if label_options.get("classes")
            else None,
            class_map=parse_value("map", label_options["map"], dict[str, str])
            if label_options.get("map")
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
        on_epoch: EpochCallback,
        launch: str = "",
        export_if_stopped: bool = False,
    ) -> TrainReport:
        """Read the labels and train.

        Args:
            labels: Labels to train on; None where they lie beside the images.
            images: Folder of the scenes to train on.
            val_labels: Labels to validate on; None where they lie beside `val_images`, or where
                there is no validation collection.
            val_images: Folder of the scenes to validate on; None where they are among `images`.
            out: Folder to write to, as for `train`.
            checkpoints: Folder of the checkpoints, as for `train`.
            stop: Function that returns whether to stop, as for `train`.
            on_epoch: Function that receives each epoch's metrics, as for `train`.
            launch: Identifier of the launch, as for `train`.
            export_if_stopped: Whether a stopped training exports its model, as for `train`.

        Raises:
            SwathError: As `read_collection` and `train` raise it.
        """
        collection = self._read_collection(labels, images, self.classes)
        val: Collection | None = None
        if val_labels is not None or val_images is not None:
            val_folder = images if val_images is None else val_images
            val = self._read_collection(
                val_labels, val_folder, collection.classes, all_mapped=False
            )
        return train(
            self.options,
            collection,
            val,
            out,
            checkpoints=checkpoints,
            stop=stop,
            on_epoch=on_epoch,
            launch=launch,
            export_if_stopped=export_if_stopped,
        )

    def run_in_folder(
        self,
        out: Path,
        *,
        labels: str | None,
        images: str,
        val_labels: str | None,
        val_images: str | None,
        resume: bool,
        stop: Callable[[], bool],
        on_epoch: EpochCallback,
    ) -> TrainReport:
        """Train in a local folder, which holds the checkpoint in its folder `checkpoints`.

        Args:
            out: Folder to write to; without `resume`, an earlier training's files are removed.
            labels: Labels to train on; None where they lie beside the images.
            images: Folder of the scenes to train on.
            val_labels: Labels to validate on; None where they lie beside `val_images`, or where
                there is no validation collection.
            val_images: Folder of the scenes to validate on; None where they are among `images`.
            resume: Whether to resume from the checkpoint in `out`.
            stop: Called after each step; once it returns True, the training saves a checkpoint and
                ends.
            on_epoch: Called with the metrics of each epoch.

        Raises:
            InputError: There is a checkpoint but no `resume`, or `resume` but no checkpoint.
            SwathError: As `run` raises it.
        """
        checkpoints = out / CHECKPOINT_FOLDER
        _check_checkpoint(checkpoints, resume=resume)
        if not resume:
            clear_outputs(out, OUTPUTS)
        return self.run(
            labels=labels,
            images=images,
            val_labels=val_labels,
            val_images=val_images,
            out=out,
            checkpoints=checkpoints,
            stop=stop,
            on_epoch=on_epoch,
        )

    def cross_validate(
        self,
        *,
        labels: str | None,
        images: str,
        count: int,
        out: Path,
        stop: Callable[[], bool],
        on_epoch: Callable[[int], EpochCallback],
    ) -> CrossValidation:
        """Read the labels and train once for each fold of their scenes.

        Args:
            labels: Labels of all scenes; None where they lie beside the images.
            images: Folder of the scenes.
            count: Number of folds.
            out: Folder to write to, as for the function `cross_validate`.
            stop: Function that returns whether to stop, as for `train`.
            on_epoch: Function that returns the callback of a fold, given the fold's number.

        Raises:
            SwathError: As `read_collection` and the function `cross_validate` raise it.
        """
        collection = self._read_collection(labels, images, self.classes)
        return cross_validate(self.options, collection, count, out, stop=stop, on_epoch=on_epoch)

    def _read_collection(
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
            bands=self.options.bands,
        )


def _check_checkpoint(checkpoints: Path, *, resume: bool) -> None:
    """Refuse a checkpoint without `resume`, and `resume` without a checkpoint."""
    has_checkpoint = (checkpoints / CHECKPOINT_FILE).is_file()
    if has_checkpoint and not resume:
        raise InputError(
            f"{checkpoints} has the checkpoint of a training; resume it with --resume, or give "
            "another --out"
        )
    if resume and not has_checkpoint:
        raise InputError(f"{checkpoints} has no checkpoint to resume from; leave out --resume")
