"""Interpret outputs that list objects: boxes, scores and class numbers in separate outputs.

Each box has one score and one class number, as torchvision and NMS plugins return them. NMS plugins
add a count of the rows that are objects.
https://github.com/NVIDIA/TensorRT/tree/main/plugin/efficientNMSPlugin
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from swath.models.output_spec import Role
from swath.packaging.conventions.convention import (
    InferredOutputs,
    describe_ignored,
    describe_output,
    split_background,
)
from swath.packaging.conventions.interpretations import Interpretation
from swath.packaging.evidence import (
    assess_boxes,
    assess_labels,
    assess_scores,
    is_whole,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import BoxFormat, BoxUnits
    from swath.packaging.inspect_weights import ExportedNetwork, ExportedOutput

Convention = Literal["ultralytics", "torchvision"]
_BOX = 4
_UNBATCHED, _MASKS = 2, 4
"""Numbers of axes: boxes without a batch, and masks with or without a batch."""
_WORDS: dict[str, Role] = {
    "box": "boxes",
    "label": "labels",
    "class": "labels",
    "cls": "labels",
    "score": "scores",
    "conf": "scores",
    "prob": "scores",
    "mask": "masks",
    "num": "count",
    "valid": "count",
    "count": "count",
}
_FORMATS: dict[BoxFormat, str] = {"xyxy": "two corners", "cxcywh": "center and size"}
_UNITS: dict[BoxUnits, str] = {"px": "in px", "normalized": "in fractions of the tile"}


def role_by_name(name: str) -> Role | None:
    """Return the role that an output's name implies; None if the name is ambiguous or unknown."""
    roles = {role for word, role in _WORDS.items() if word in name.lower()}
    if "count" in roles:
        return "count"
    return roles.pop() if len(roles) == 1 else None


def is_object_list(exported: ExportedNetwork) -> bool:
    """Return whether the outputs can be separate boxes, scores and class numbers."""
    return next(_assignments(exported), None) is not None


def object_list_interpretations(
    exported: ExportedNetwork, names: Sequence[str], convention: Convention
) -> list[Interpretation]:
    """Return the readings of outputs as boxes, scores and class numbers.

    Args:
        exported: Exported network.
        names: Class names; a background class in front is dropped.
        convention: Convention that applies where the numbers are ambiguous. torchvision's boxes are
            two corners in px and its classes count from 1; classes of NMS plugins count from 0.
    """
    background, classes = split_background(names)
    first = int(convention == "torchvision" or background is not None)
    return [
        _reading(exported, roles, classes, box_format, units, label, first)
        for roles, box_format, units, label in product(
            _assignments(exported), _FORMATS, _UNITS, (0, 1)
        )
    ]


def _assignments(exported: ExportedNetwork) -> Iterator[tuple[Role | None, ...]]:
    """Yield all assignments of roles that the outputs' axes, types and names allow."""
    outputs = exported.outputs
    for boxes in (p for p, output in enumerate(outputs) if _is_boxes(output)):
        axes = outputs[boxes].shape[:-1]
        vectors = [p for p, output in enumerate(outputs) if output.shape == axes]
        for labels, scores in permutations([p for p in vectors if p != boxes], 2):
            if outputs[scores].is_integer:
                continue
            roles: list[Role | None] = [None] * len(outputs)
            roles[boxes], roles[labels], roles[scores] = "boxes", "labels", "scores"
            for index, output in enumerate(outputs):
                if roles[index] is None:
                    roles[index] = _other_role(output, axes)
            if _names_agree(outputs, roles):
                yield tuple(roles)


def _is_boxes(output: ExportedOutput) -> bool:
    return len(output.shape) in {2, 3} and output.shape[-1] == _BOX


def _other_role(output: ExportedOutput, axes: tuple[int, ...]) -> Role | None:
    """Return the role of an output other than boxes, scores and labels."""
    if len(output.shape) == _MASKS and output.shape[: len(axes)] == axes:
        return "masks"
    first = axes[:-1]
    single = output.shape in {(*first, 1), first} and output.shape != ()
    whole = all(is_whole(value) for value in output.values)
    return "count" if single and whole and role_by_name(output.name) in {"count", None} else None


def _names_agree(outputs: Sequence[ExportedOutput], roles: Sequence[Role | None]) -> bool:
    """Return whether no output's name contradicts its role."""
    name_roles = [
        (role_by_name(output.name), role) for output, role in zip(outputs, roles, strict=True)
    ]
    return all(name is None or name == role or role is None for name, role in name_roles)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Objects among the rows of all probes and tiles: boxes (n, 4), labels (n,), scores (n,)."""

    boxes: NDArray[np.float64]
    labels: NDArray[np.float64]
    scores: NDArray[np.float64]


def _reading(
    exported: ExportedNetwork,
    roles: tuple[Role | None, ...],
    classes: tuple[str, ...],
    box_format: BoxFormat,
    units: BoxUnits,
    first: int,
    usual_first: int,
) -> Interpretation:
    rows = _rows(exported, roles)
    boxes = assess_boxes(rows.boxes, box_format, units, exported.size)
    labels = assess_labels(rows.labels, rows.scores, first, len(classes))
    usual_labels = assess_labels(rows.labels, rows.scores, usual_first, len(classes))
    scores = assess_scores(rows.scores, "none")
    contradiction = (
        scores.contradiction
        or labels.contradiction
        or _type_contradiction(exported, roles)
        or boxes.contradiction
    )
    ordered = "".join(f", {role}" for role in roles if role)[2:]
    masks = "masks" in roles
    batched = len(exported.outputs[roles.index("boxes")].shape) > _UNBATCHED
    options: dict[str, Any] = {
        "head": "torchvision",
        "first_label": first,
        "score_threshold": 0.5,
        "box_format": box_format,
        "box_units": units,
    }
    return Interpretation(
        description=f"{ordered} (boxes as {_FORMATS[box_format]} {_UNITS[units]}, "
        f"classes numbered from {first})",
        settings={name: options[name] for name in ("first_label", "box_format", "box_units")},
        inferred=InferredOutputs(
            task="instance-segmentation" if masks else "object-detection",
            outputs=tuple(
                describe_output(
                    output,
                    _axes(output, role, batched=batched),
                    exported,
                    name=role,
                    open_axes=_open(output, role, batched=batched),
                )
                if role
                else describe_ignored(output)
                for output, role in zip(exported.outputs, roles, strict=True)
            ),
            hyperparameters={**options, "merge": {"strategy": "none"}},
            classes=classes,
        ),
        contradiction=contradiction,
        is_uncertain=contradiction is not None
        and contradiction == boxes.contradiction
        and boxes.is_uncertain,
        is_declared=box_format == "xyxy"
        and (first == usual_first or usual_labels.contradiction is not None)
        and (units == "px" or len(rows.boxes) > 0),
    )


def _type_contradiction(exported: ExportedNetwork, roles: tuple[Role | None, ...]) -> str | None:
    """Return the contradiction in the types of class numbers and scores, padding included."""
    by_role = {role: output for output, role in zip(exported.outputs, roles, strict=True) if role}
    labels, scores = by_role["labels"], by_role["scores"]
    if not all(is_whole(value) for value in labels.values):
        return "class numbers are not whole numbers"
    are_named = labels.is_integer or role_by_name(labels.name) or role_by_name(scores.name)
    any_score = any(value.any() for value in scores.values)
    if any_score and not are_named and all(is_whole(value) for value in scores.values):
        return "scores are whole numbers"
    return None


def _rows(exported: ExportedNetwork, roles: tuple[Role | None, ...]) -> _Rows:
    """Return the objects, without rows beyond the count and rows without a score."""
    by_role = {role: output for output, role in zip(exported.outputs, roles, strict=True) if role}
    parts: list[tuple[NDArray[Any], ...]] = []
    for probe in range(len(by_role["boxes"].natural_values)):
        boxes = by_role["boxes"].values[probe].reshape(-1, _BOX)
        labels, scores = (by_role[name].values[probe].reshape(-1) for name in ("labels", "scores"))
        is_object = scores > 0
        if "count" in by_role:
            counts = by_role["count"].values[probe].reshape(-1, 1)
            is_object &= (np.arange(len(scores) // len(counts)) < counts).reshape(-1)
        parts.append((boxes[is_object], labels[is_object], scores[is_object]))
    boxes, labels, scores = (
        np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True)
    )
    return _Rows(boxes, labels, scores)


def _axes(output: ExportedOutput, role: Role, *, batched: bool) -> tuple[str, ...]:
    """Return the names of an output's axes."""
    own = {"boxes": ("coordinate",), "masks": ("height", "width")}
    if role == "count":
        return ("batch", "one")[: len(output.shape)] if batched else ("one",)
    if role == "masks" and not batched:
        return ("detection", "channel", *own[role])
    return (*(("batch",) if batched else ()), "detection", *own.get(role, ()))


def _open(output: ExportedOutput, role: Role, *, batched: bool) -> list[int]:
    """Return the indices of the axes of any length: that of objects, unless it is fixed."""
    if role == "count":
        return []
    if not batched:
        return [0]
    return [1] if len({value.shape for value in output.values}) > 1 else []
