"""Interpret outputs as class scores or class numbers, for segmentation and classification.

Networks return logits, or scores if the export includes the sigmoid or softmax, or class numbers if
it includes the argmax.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.errors import PackageError
from swath.packaging.conventions.convention import (
    BACKGROUND,
    Understood,
    need_classes,
    only,
    shapes_of,
)
from swath.packaging.conventions.readings import Reading, choose
from swath.packaging.evidence import is_probability, is_whole, sums_to_one

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import Activation
    from swath.packaging.inspect_weights import Exported

_CHANNELS, _MAP = 4, 3
_WORDS: dict[Activation, str] = {
    "none": "scores from 0 to 1",
    "sigmoid": "logits for a sigmoid a class",
    "softmax": "logits for a softmax over the classes",
}


def of_pixels(
    exported: Exported,
    place: int,
    classes: Sequence[str] | None,
    given: Mapping[str, Any],
    *,
    activation: Activation | None = None,
) -> Understood:
    """Interpret an output as semantic segmentation.

    The output holds scores or logits (batch, classes, rows, cols), or class numbers of shape
    (batch, rows, cols) or (batch, 1, rows, cols).

    Args:
        exported: Exported network.
        place: Index of the output.
        classes: Class names, in the order of the scores.
        given: Hyperparameters that the user sets.
        activation: Activation that the library's logits need; None: a sigmoid for one class, else a
            softmax.

    Raises:
        PackageError: Class names are missing, or the numbers fit no reading.
    """
    found = exported.outputs[place]
    count = found.shape[1] if len(found.shape) == _CHANNELS else 0
    known = f"{count} classes" if count > 1 else "classes"
    names = need_classes(classes, f"{exported.path} segments into {known}")
    readings = [
        *_label_maps(exported, place, names),
        *(_scores(exported, place, names, activation) if count == len(names) else ()),
    ]
    if not readings:
        raise PackageError(
            f"{exported.path} segments into {count} classes; {len(names)} are named: {list(names)}"
            if count
            else f"{exported.path} returns {shapes_of(exported)}; swath reads scores (batch, "
            "classes, rows, cols), or numbers of classes (batch, rows, cols) that are whole"
        )
    return choose(exported.path, shapes_of(exported), readings, given)


def of_tiles(
    exported: Exported, place: int, classes: Sequence[str] | None, given: Mapping[str, Any]
) -> Understood:
    """Interpret an output (batch, classes) as tile classification.

    Args:
        exported: Exported network.
        place: Index of the output.
        classes: Class names, in the order of the scores.
        given: Hyperparameters that the user sets.

    Raises:
        PackageError: Class names are missing, or the numbers cannot be scores.
    """
    found = exported.outputs[place]
    names = need_classes(classes, f"{exported.path} tells {found.shape[1]} classes apart")
    if len(names) != found.shape[1]:
        raise PackageError(
            f"{exported.path} tells {found.shape[1]} classes apart; {len(names)} are named: "
            f"{list(names)}"
        )
    readings = _scores(exported, place, names, "softmax" if len(names) > 1 else None)
    return choose(exported.path, shapes_of(exported), list(readings), given)


def _scores(
    exported: Exported, place: int, names: tuple[str, ...], usual: Activation | None
) -> Iterator[Reading]:
    """Yield the readings as scores or logits; scores and the expected activation are declared."""
    found = exported.outputs[place]
    pixels = len(found.shape) == _CHANNELS
    axes = ("batch", "class", "height", "width") if pixels else ("batch", "class")
    expected = usual or ("sigmoid" if len(names) == 1 else "softmax")
    nothing = next((name for name in names if name.lower() in BACKGROUND), None)
    assumed = []
    if expected == "softmax" and len(names) > 1 and not _are_scores(found.values):
        assumed.append("classes exclude one another (softmax); else --set score_activation=sigmoid")
    if nothing and len(names) > 1:
        assumed.append(f"the class {nothing} is nothing, and not reported")
    for activation in ("none", "sigmoid", "softmax"):
        if activation == "softmax" and len(names) == 1:
            continue
        yield Reading(
            words=_WORDS[activation],
            settings={"score_activation": activation, "head": "scores"},
            understood=Understood(
                task="semantic-segmentation" if pixels else "scene-classification",
                outputs=only(exported, place, axes),
                hyperparameters={
                    "score_threshold": 0.5,
                    "score_activation": activation,
                    **({"background": nothing} if nothing and len(names) > 1 else {}),
                },
                classes=names,
                assumed=tuple(assumed),
            ),
            fault=_fault(found.values, activation),
            declared=activation in {"none", expected},
        )


def _are_scores(values: Sequence[NDArray[Any]]) -> bool:
    return all(is_probability(value) for value in values)


def _fault(values: Sequence[NDArray[Any]], activation: Activation) -> str | None:
    """Return the contradiction to an activation: noise yields no logits that all lie in 0 to 1."""
    inside = _are_scores(values)
    if not all(np.isfinite(value).all() for value in values):
        return "the numbers are not all finite"
    if activation != "none":
        if inside:
            softmaxed = all(sums_to_one(value, axis=1) for value in values)
            return "scores lie in 0 to 1 already" + " and sum to 1" * softmaxed
        # Logits may be whole by chance, but then some are usually negative.
        typed = any(value.dtype.kind in "iu" for value in values)
        natural = values[0].ndim == _CHANNELS and min(value.min() for value in values) >= 0
        whole = typed or (natural and all(is_whole(value) for value in values))
        return "all numbers are whole: labels, or a mask of 8 bits" if whole else None
    if inside:
        return None
    low, high = min(value.min() for value in values), max(value.max() for value in values)
    return f"scores go from {low:.4g} to {high:.4g}"


def _label_maps(exported: Exported, place: int, names: tuple[str, ...]) -> Iterator[Reading]:
    """Yield the readings as class numbers, where 0 is either the first class or background."""
    found = exported.outputs[place]
    one = len(found.shape) == _CHANNELS and found.shape[1] == 1
    if not (one or len(found.shape) == _MAP):
        return
    if not all(is_whole(value) for value in found.values):
        return
    background = len(names) > 1 and names[0].lower() in BACKGROUND
    classes = names[1:] if background else names
    high = max(value.max() for value in found.values)
    low = min(value.min() for value in found.values)
    axes = ("batch", "class", "height", "width") if one else ("batch", "height", "width")
    for first in (0, 1):
        fault = None
        if low < 0 or high >= first + len(classes):
            fault = f"labels go from {low:g} to {high:g} for {len(classes)} classes"
        if background and first == 0:
            fault = f"{names[0]} is the name of 0"
        yield Reading(
            words=f"numbers of classes a pixel, {first} for {classes[0]}"
            + ", 0 for nothing" * first,
            settings={"head": "labels", "first_label": first},
            understood=Understood(
                task="semantic-segmentation",
                outputs=only(exported, place, axes),
                hyperparameters={"head": "labels", "first_label": first},
                classes=classes,
            ),
            fault=fault,
            declared=bool(background),
        )
