"""Interpret networks of transformers: the DETR family, SegFormer and image classification.

The DETR family returns `logits` and `pred_boxes` (normalized center, width and height).
DETR and YOLOS have a last class for "no object" and need a softmax. Deformable DETR, Conditional
DETR, RT-DETR and D-FINE need a sigmoid per class. Semantic segmentation returns `logits` at reduced
resolution. `config.json` and `preprocessor_config.json` beside the weights supply the class names
and the pixel scaling.

https://huggingface.co/docs/transformers/main/model_doc/rt_detr
https://github.com/huggingface/transformers/tree/main/src/transformers/loss
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError
from swath.packaging.conventions.class_outputs import (
    interpret_classification,
    interpret_segmentation,
)
from swath.packaging.conventions.convention import (
    InferredOutputs,
    describe_shapes,
    require_classes,
)
from swath.packaging.conventions.interpretations import choose_interpretation
from swath.packaging.conventions.queries import query_interpretations, query_outputs
from swath.packaging.value_scaling import from_processor_config

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import ExportedNetwork


def infer_outputs(
    exported: ExportedNetwork, classes: Sequence[str] | None, hyperparameters: Mapping[str, Any]
) -> InferredOutputs:
    """Interpret an export of transformers.

    Args:
        exported: Exported network.
        classes: Class names in the order of the scores; None: those of `config.json`.
        hyperparameters: Hyperparameters that the user sets.

    Raises:
        PackageError: The outputs match no task that swath supports.
    """
    config: Mapping[str, Any] = exported.configs.get("config.json", {})
    processor = exported.configs.get("preprocessor_config.json")
    names = classes or _names(config)
    architectures = config.get("architectures") or [None]
    return replace(
        _task(exported, names, hyperparameters),
        architecture=architectures[0],
        scaling=from_processor_config(processor) if processor else None,
    )


def _task(
    exported: ExportedNetwork, names: Sequence[str] | None, hyperparameters: Mapping[str, Any]
) -> InferredOutputs:
    if query_outputs(exported):
        return _detr(exported, names, hyperparameters)
    index = next(
        (index for index, output in enumerate(exported.outputs) if output.name == "logits"), 0
    )
    match len(exported.outputs[index].shape):
        case 3 | 4:
            return interpret_segmentation(exported, index, names, hyperparameters)
        case 2:
            return interpret_classification(exported, index, names, hyperparameters)
    raise PackageError(
        f"{exported.path} returns {describe_shapes(exported)}; swath reads logits and pred_boxes "
        "(the DETR family), logits per pixel (SegFormer) or logits per tile. It does not support "
        "models whose queries are masks, such as Mask2Former"
    )


def _detr(
    exported: ExportedNetwork, names: Sequence[str] | None, hyperparameters: Mapping[str, Any]
) -> InferredOutputs:
    width = exported.outputs[query_outputs(exported)[0][0]].shape[2]
    classes = require_classes(names, f"{exported.path} returns {width} logits per query")
    interpretations = query_interpretations(exported, classes, nms_free=True)
    if not interpretations:
        raise PackageError(
            f"{exported.path} returns {width} logits per query, but {len(classes)} classes are "
            f"named: name {width} (sigmoid: RT-DETR, D-FINE) or {width - 1} (softmax: DETR, YOLOS)"
        )
    return choose_interpretation(
        exported.path, describe_shapes(exported), interpretations, hyperparameters
    )


def _names(config: Mapping[str, Any]) -> list[str] | None:
    named = config.get("id2label")
    if not isinstance(named, Mapping):
        return None
    return [str(named[key]) for key in sorted(named, key=int)]
