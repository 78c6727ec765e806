"""An evaluation and what follows from it: may the package be published?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from swath import storage
from swath.errors import InputError, PayloadError
from swath.evaluation.evaluate import OUTPUTS, SCORE_FLOOR, Progress, evaluate, figures_of
from swath.evaluation.gate import Verdict, check_numbers, compare, require
from swath.evaluation.results import Evaluation
from swath.labels.formats import Form
from swath.labels.read import read_collection
from swath.models.package import describe_package, load_package
from swath.storage.earlier_outputs import Output, json_with
from swath.storage.output_folder import clear

if TYPE_CHECKING:
    from swath.labels.collection import Collection

VERDICT = "verdict.json"
IN_USE = "in-use"
ASSESSMENT = (Output(VERDICT, json_with("passed", "compared")), *OUTPUTS)
"""The files that an assessment writes, beside the folder `in-use`."""


def assess(
    package: str | Path,
    collection: Collection,
    out: Path,
    *,
    against: str | None = None,
    fail_below: Mapping[str, float] | None = None,
    tolerance: float = 0.0,
    score_floor: float = SCORE_FLOOR,
    tolerated_failures: float = 0.0,
    progress: Progress = lambda *_: None,
) -> tuple[Evaluation, Verdict]:
    """Measure a package, hold it against what is asked of it, and write `verdict.json`.

    Args:
        package: a folder, a `model.tar.gz` or an S3 URI of one.
        collection: the labelled scenes.
        out: the folder to write to.
        against: the package in use, which is then measured too, in the folder `in-use`; or its
            `evaluation.json`.
        fail_below: what figures must be.
        tolerance: by how much a figure may be lower than that of the package in use.
        score_floor: as for `evaluate`.
        tolerated_failures: as for `evaluate`.
        progress: told as it goes on.

    Returns:
        The evaluation and the verdict; nothing asked is a verdict that passed.

    Raises:
        InputError: the two cannot be compared, or a figure that is asked for is not measured.
        SwathError: a run failed.
    """

    def measure(uri: str | Path, folder: Path) -> Evaluation:
        return evaluate(
            uri,
            collection,
            folder,
            score_floor=score_floor,
            tolerated_failures=tolerated_failures,
            progress=progress,
        )

    # What is given is read before what takes long is begun.
    check_numbers({"the tolerance": tolerance, **(fail_below or {})})
    shares = {"score floor": score_floor, "share of failures": tolerated_failures}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"the {name} is {share}; it is a number from 0 to 1")
    if fail_below:
        _check_names(fail_below, load_package(package).description.task)
    earlier = read_evaluation(against) if against and against.endswith(".json") else None
    clear(out, ASSESSMENT)
    clear(out / IN_USE, OUTPUTS)
    candidate = measure(package, out)
    if against and earlier is None:
        earlier = measure(against, out / IN_USE)
    verdict = require(candidate, fail_below or {})
    if earlier is not None:
        verdict = verdict + compare(candidate, earlier, tolerance)
    text = json.dumps(verdict.to_json(), indent=2) + "\n"
    storage.write_bytes(str(out / VERDICT), text.encode())
    return candidate, verdict


def read_labels(
    package: str | Path,
    labels: str | None,
    scenes: str,
    *,
    form: Form = "auto",
    classes: Sequence[str] | None = None,
    class_map: Mapping[str, str] | None = None,
) -> Collection:
    """Read the labels that a package is to be measured by.

    Args:
        package: a folder, a `model.tar.gz` or an S3 URI of one.
        labels: as for `read_collection`, like the others.
        scenes: the folder of the scenes.
        form: the format of the labels.
        classes: names of the classes, in order.
        class_map: classes of the labels, and the classes of the package that they are.

    Raises:
        LabelsError: as `read_collection`.
        InputError: the package has no class that a class of the labels is said to be.
    """
    if class_map:
        check_class_map(package, class_map)
    return read_collection(labels, scenes, form=form, classes=classes, class_map=class_map)


def check_class_map(package: str | Path, class_map: Mapping[str, str]) -> None:
    """Check that a package has each class that a class of the labels is said to be.

    Raises:
        InputError: it lacks one; the message says which there are.
        PackageError: the package cannot be used.
    """
    description = describe_package(package).description
    for old, new in class_map.items():
        if new not in description.classes:
            raise InputError(
                f"--map {old}={new}: the model {description.name} has no class {new!r}; it has "
                f"{', '.join(map(repr, description.classes))}"
            )


def _check_names(bounds: Mapping[str, float], task: str) -> None:
    known = figures_of(task)
    for name in bounds:
        if name not in known:
            raise InputError(f"{task} has no figure {name}; it has {', '.join(known)}")


def read_evaluation(uri: str) -> Evaluation:
    """An `evaluation.json`, from a path or an S3 URI.

    Raises:
        InputError: there is none, or it is not one.
    """
    try:
        return Evaluation.from_json(storage.read_json(uri))
    except FileNotFoundError:
        raise InputError(f"there is no evaluation at {uri}; check the address") from None
    except (ValueError, PayloadError) as error:
        raise InputError(
            f"{uri} is no evaluation.json: {error}; make one by `swath evaluate`"
        ) from None


def to_form(text: str) -> Form:
    """The form of labels that a command line names.

    Raises:
        InputError: there is no such form.
    """
    try:
        return msgspec.convert(text, Form)  # type: ignore[no-any-return]
    except msgspec.ValidationError:
        raise InputError(f"labels have no form {text!r}; it is one of {get_args(Form)}") from None


def parse_bounds(texts: list[str]) -> dict[str, float]:
    """`AP50=0.3` as a figure and what it must be.

    Raises:
        InputError: a text is not of that form, a number is NaN or infinite, or a figure has two.
    """
    bounds: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            bound = float(number)
        except ValueError:
            raise InputError(f"{text!r} is no bound; write a figure's as AP50=0.3") from None
        check_numbers({name: bound})
        if bounds.setdefault(name, bound) != bound:
            raise InputError(f"{name} is asked for twice, {bounds[name]:g} and {bound:g}; give one")
    return bounds
