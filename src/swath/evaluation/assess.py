"""Evaluate a package and decide whether it may be published."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from swath import storage
from swath.errors import InputError, PayloadError
from swath.evaluation.evaluate import (
    DEFAULT_SCORE_FLOOR,
    EVALUATION_OUTPUTS,
    SceneProgressCallback,
    evaluate,
    metric_names,
)
from swath.evaluation.gate import GateResult, check_bounds, check_finite, compare
from swath.evaluation.results import Evaluation
from swath.labels.formats import LabelFormat
from swath.labels.read import read_collection
from swath.models.package import describe_package, load_package
from swath.storage.earlier_outputs import Output, has_json_keys
from swath.storage.output_folder import clear_outputs

if TYPE_CHECKING:
    from swath.labels.collection import Collection

VERDICT_FILE = "verdict.json"
IN_USE_FOLDER = "in-use"
ASSESSMENT_OUTPUTS = (
    Output(VERDICT_FILE, has_json_keys("passed", "compared")),
    *EVALUATION_OUTPUTS,
)
"""Files that an assessment writes, in addition to the folder `in-use`."""


def assess(
    package: str | Path,
    collection: Collection,
    out: Path,
    *,
    against: str | None = None,
    fail_below: Mapping[str, float] | None = None,
    tolerance: float = 0.0,
    score_floor: float = DEFAULT_SCORE_FLOOR,
    tolerated_failures: float = 0.0,
    progress: SceneProgressCallback = lambda *_: None,
) -> tuple[Evaluation, GateResult]:
    """Evaluate a package, check its metrics, and write `verdict.json`.

    Args:
        package: Path of a folder or of a `model.tar.gz`, or S3 URI of a `model.tar.gz`.
        collection: Labeled scenes.
        out: Folder to write to.
        against: Package in use, or the path or S3 URI of its `evaluation.json`. A package is
            evaluated, too, and its evaluation is written to the folder `in-use`.
        fail_below: Lowest value that each metric may have.
        tolerance: Amount by which a metric may be lower than that of the package in use.
        score_floor: Score floor, 0 to 1; see `evaluate`.
        tolerated_failures: Share of a scene's tiles that may fail, 0 to 1.
        progress: Function that is called with the progress of each scene.

    Returns:
        The evaluation and the verdict. Without `against` and `fail_below`, the verdict passes.

    Raises:
        InputError: The two packages cannot be compared, `fail_below` names an unknown metric, or
            a number is out of range.
        SwathError: A run failed.
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

    # Check all arguments before the evaluation, which takes long.
    check_finite({"the tolerance": tolerance, **(fail_below or {})})
    shares = {"score floor": score_floor, "share of failures": tolerated_failures}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"the {name} is {share}; it must be a number from 0 to 1")
    if fail_below:
        _check_metric_names(fail_below, load_package(package).description.task)
    earlier = read_evaluation(against) if against and against.endswith(".json") else None
    clear_outputs(out, ASSESSMENT_OUTPUTS)
    clear_outputs(out / IN_USE_FOLDER, EVALUATION_OUTPUTS)
    candidate = measure(package, out)
    if against and earlier is None:
        earlier = measure(against, out / IN_USE_FOLDER)
    verdict = check_bounds(candidate, fail_below or {})
    if earlier is not None:
        verdict = verdict + compare(candidate, earlier, tolerance)
    text = json.dumps(verdict.to_json(), indent=2) + "\n"
    storage.write_bytes(str(out / VERDICT_FILE), text.encode())
    return candidate, verdict


def read_labels(
    package: str | Path,
    labels: str | None,
    scenes: str,
    *,
    label_format: LabelFormat = "auto",
    classes: Sequence[str] | None = None,
    class_map: Mapping[str, str] | None = None,
) -> Collection:
    """Read the labels that a package is evaluated on.

    Args:
        package: Path of a folder or of a `model.tar.gz`, or S3 URI of a `model.tar.gz`.
        labels: File or folder of labels, an S3 URI or a local path; by default, the labels in the
            folder of the scenes.
        scenes: Folder of the scenes, or one scene.
        label_format: Format of the labels.
        classes: Names of the classes, in order; by default, those of the labels.
        class_map: Class of the package for classes of the labels with another name.

    Raises:
        LabelsError: The labels cannot be read or do not fit the scenes.
        InputError: The package lacks a class that `class_map` maps to.
        PackageError: The package cannot be used.
        SceneError: swath cannot read a scene.
    """
    if class_map:
        check_class_map(package, class_map)
    return read_collection(
        labels,
        scenes,
        form=label_format,
        classes=classes,
        class_map=class_map,
        bands=describe_package(package).description.bands,
    )


def check_class_map(package: str | Path, class_map: Mapping[str, str]) -> None:
    """Check that a package has all classes that a class map maps to.

    Args:
        package: Path of a folder or of a `model.tar.gz`, or S3 URI of a `model.tar.gz`.
        class_map: Class of the package for classes of the labels with another name.

    Raises:
        InputError: The package lacks a class. The message lists the package's classes.
        PackageError: The package cannot be used.
    """
    description = describe_package(package).description
    for old, new in class_map.items():
        if new not in description.classes:
            raise InputError(
                f"--map {old}={new}: the model {description.name} has no class {new!r}; it has "
                f"{', '.join(map(repr, description.classes))}"
            )


def _check_metric_names(bounds: Mapping[str, float], task: str) -> None:
    known = metric_names(task)
    for name in bounds:
        if name not in known:
            raise InputError(f"{task} has no metric {name}; it has {', '.join(known)}")


def read_evaluation(uri: str) -> Evaluation:
    """Read an `evaluation.json` from a path or an S3 URI.

    Raises:
        InputError: There is no file at `uri`, or the file is not an evaluation.
    """
    try:
        return Evaluation.from_json(storage.read_json(uri))
    except FileNotFoundError:
        raise InputError(f"there is no evaluation at {uri}; check the address") from None
    except (ValueError, PayloadError) as error:
        raise InputError(
            f"{uri} is not an evaluation.json: {error}; create one with `swath evaluate`"
        ) from None


def parse_label_format(text: str) -> LabelFormat:
    """Return the label format that a command line names.

    Raises:
        InputError: There is no such format.
    """
    try:
        return msgspec.convert(text, LabelFormat)  # type: ignore[no-any-return]
    except msgspec.ValidationError:
        formats = ", ".join(get_args(LabelFormat))
        raise InputError(f"there is no label format {text!r}; the formats are {formats}") from None


def parse_bounds(texts: list[str]) -> dict[str, float]:
    """Parse bounds such as `AP50=0.3` into the lowest value of each metric.

    Raises:
        InputError: A text has another form, a number is NaN or infinite, or a metric has two
            different bounds.
    """
    bounds: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            bound = float(number)
        except ValueError:
            raise InputError(f"{text!r} is not a bound; write one as AP50=0.3") from None
        check_finite({name: bound})
        if bounds.setdefault(name, bound) != bound:
            raise InputError(f"{name} has two bounds, {bounds[name]:g} and {bound:g}; give one")
    return bounds
