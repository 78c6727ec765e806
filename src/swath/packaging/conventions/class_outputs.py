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
    InferredOutputs,
    describe_shapes,
    describe_single,
    require_classes,
)
from swath.packaging.conventions.interpretations import Interpretation, choose_interpretation
from swath.packaging.evidence import is_probability, is_whole, sums_to_one

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import Activation
    from swath.packaging.inspect_weights import ExportedNetwork

_CHANNELS, _MAP = 4, 3
_WORDS: dict[Activation, str] = {
    "none": "scores from 0 to 1",
    "sigmoid": "logits for one sigmoid per class",
    "softmax": "logits for a softmax over the classes",
}


def interpret_segmentation(
    exported: ExportedNetwork,
    index: int,
    classes: Sequence[str] | None,
    hyperparameters: Mapping[str, Any],
    *,
    activation: Activation | None = None,
) -> InferredOutputs:
    """Interpret an output as semantic segmentation.

    The output holds scores or logits (batch, classes, rows, cols), or class numbers of shape
    (batch, rows, cols) or (batch, 1, rows, cols).

    Args:
        exported: Exported network.
        index: Index of the output.
        classes: Class names, in the order of the scores.
        hyperparameters: Hyperparameters that the user sets.
        activation: Activation that the library's logits need; None: a sigmoid for one class, else a
            softmax.

    Raises:
        PackageError: Class names are missing, or the numbers fit no reading.
    """
    exported_output = exported.outputs[index]
    count = exported_output.shape[1] if len(exported_output.shape) == _CHANNELS else 0
    class_text = f"{count} classes" if count > 1 else "classes"
    names = require_classes(classes, f"{exported.path} segments into {class_text}")
    interpretations = [
        *_label_maps(exported, index, names),
        *(_scores(exported, index, names, activation) if count == len(names) else ()),
    ]
    if not interpretations:
        raise PackageError(
            f"{exported.path} segments into {count} classes, but {len(names)} are "
            f"named: {list(names)}"
            if count
            else f"{exported.path} returns {describe_shapes(exported)}; swath reads scores (batch, "
            "classes, rows, cols), or integer class numbers (batch, rows, cols)"
        )
    return choose_interpretation(
        exported.path, describe_shapes(exported), interpretations, hyperparameters
    )


def interpret_classification(
    exported: ExportedNetwork,
    index: int,
    classes: Sequence[str] | None,
    hyperparameters: Mapping[str, Any],
) -> InferredOutputs:
    """Interpret an output (batch, classes) as tile classification.

    Args:
        exported: Exported network.
        index: Index of the output.
        classes: Class names, in the order of the scores.
        hyperparameters: Hyperparameters that the user sets.

    Raises:
        PackageError: Class names are missing, or the numbers cannot be scores.
    """
    exported_output = exported.outputs[index]
    names = require_classes(
        classes, f"{exported.path} distinguishes {exported_output.shape[1]} classes"
    )
    if len(names) != exported_output.shape[1]:
        raise PackageError(
            f"{exported.path} distinguishes {exported_output.shape[1]} classes, but {len(names)} "
            f"are named: {list(names)}"
        )
    interpretations = _scores(exported, index, names, "softmax" if len(names) > 1 else None)
    return choose_interpretation(
        exported.path, describe_shapes(exported), list(interpretations), hyperparameters
    )


def _scores(
    exported: ExportedNetwork, index: int, names: tuple[str, ...], usual: Activation | None
) -> Iterator[Interpretation]:
    """Yield the readings as scores or logits; scores and the expected activation are declared."""
    exported_output = exported.outputs[index]
    pixels = len(exported_output.shape) == _CHANNELS
    axes = ("batch", "class", "height", "width") if pixels else ("batch", "class")
    expected = usual or ("sigmoid" if len(names) == 1 else "softmax")
    background_name = next((name for name in names if name.lower() in BACKGROUND), None)
    assumptions = []
    if expected == "softmax" and len(names) > 1 and not _are_scores(exported_output.values):
        assumptions.append(
            "classes are mutually exclusive (softmax); otherwise --set score_activation=sigmoid"
        )
    if background_name and len(names) > 1:
        assumptions.append(f"the class {background_name} is the background, which is not reported")
    for activation in ("none", "sigmoid", "softmax"):
        if activation == "softmax" and len(names) == 1:
            continue
        yield Interpretation(
            description=_WORDS[activation],
            settings={"score_activation": activation, "head": "scores"},
            inferred=InferredOutputs(
                task="semantic-segmentation" if pixels else "scene-classification",
                outputs=describe_single(exported, index, axes),
                hyperparameters={
                    "score_threshold": 0.5,
                    "score_activation": activation,
                    **(
                        {"background": background_name}
                        if background_name and len(names) > 1
                        else {}
                    ),
                },
                classes=names,
                assumptions=tuple(assumptions),
            ),
            contradiction=_contradiction(exported_output.values, activation),
            is_declared=activation in {"none", expected},
        )


def _are_scores(values: Sequence[NDArray[Any]]) -> bool:
    return all(is_probability(value) for value in values)


def _contradiction(values: Sequence[NDArray[Any]], activation: Activation) -> str | None:
    """Return the contradiction to an activation: noise yields no logits that all lie in 0 to 1."""
    inside = _are_scores(values)
    if not all(np.isfinite(value).all() for value in values):
        return "some numbers are not finite"
    if activation != "none":
        if inside:
            softmaxed = all(sums_to_one(value, axis=1) for value in values)
            return "scores are already between 0 and 1" + " and sum to 1" * softmaxed
        # Logits may be whole by chance, but then some are usually negative.
        typed = any(value.dtype.kind in "iu" for value in values)
        natural = values[0].ndim == _CHANNELS and min(value.min() for value in values) >= 0
        whole = typed or (natural and all(is_whole(value) for value in values))
        return "all numbers are whole, as in class numbers or an 8-bit mask" if whole else None
    if inside:
        return None
    low, high = min(value.min() for value in values), max(value.max() for value in values)
    return f"scores range from {low:.4g} to {high:.4g}"


def _label_maps(
    exported: ExportedNetwork, index: int, names: tuple[str, ...]
) -> Iterator[Interpretation]:
    """Yield the readings as class numbers, where 0 is either the first class or background."""
    exported_output = exported.outputs[index]
    single_channel = len(exported_output.shape) == _CHANNELS and exported_output.shape[1] == 1
    if not (single_channel or len(exported_output.shape) == _MAP):
        return
    if not all(is_whole(value) for value in exported_output.values):
        return
    background = len(names) > 1 and names[0].lower() in BACKGROUND
    classes = names[1:] if background else names
    high = max(value.max() for value in exported_output.values)
    low = min(value.min() for value in exported_output.values)
    axes = ("batch", "class", "height", "width") if single_channel else ("batch", "height", "width")
    for first in (0, 1):
        contradiction = None
        if low < 0 or high >= first + len(classes):
            contradiction = (
                f"class numbers range from {low:g} to {high:g} for {len(classes)} classes"
            )
        if background and first == 0:
            contradiction = f"class number 0 is {names[0]}"
        yield Interpretation(
            description=f"one class number per pixel, {first} for {classes[0]}"
            + ", 0 for background" * first,
            settings={"head": "labels", "first_label": first},
            inferred=InferredOutputs(
                task="semantic-segmentation",
                outputs=describe_single(exported, index, axes),
                hyperparameters={"head": "labels", "first_label": first},
                classes=classes,
            ),
            contradiction=contradiction,
            is_declared=bool(background),
        )
