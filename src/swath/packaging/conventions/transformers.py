"""Interpret networks of transformers: the DETR family, SegFormer and image classification.

The DETR family returns `logits` and `pred_boxes` (center, width and height in shares of the image).
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
from swath.packaging.conventions.classes import of_pixels, of_tiles
from swath.packaging.conventions.convention import (
    Understood,
    need_classes,
    shapes_of,
)
from swath.packaging.conventions.queries import query_places, query_readings
from swath.packaging.conventions.readings import choose
from swath.packaging.value_scaling import of_processor

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import Exported


def understand(
    exported: Exported, classes: Sequence[str] | None, given: Mapping[str, Any]
) -> Understood:
    """Interpret an export of transformers.

    Args:
        exported: Exported network.
        classes: Class names in the order of the scores; None: those of `config.json`.
        given: Hyperparameters that the user sets.

    Raises:
        PackageError: The outputs match no task that swath supports.
    """
    config: Mapping[str, Any] = exported.beside.get("config.json", {})
    processor = exported.beside.get("preprocessor_config.json")
    names = classes or _names(config)
    architectures = config.get("architectures") or [None]
    return replace(
        _task(exported, names, given),
        architecture=architectures[0],
        scaling=of_processor(processor) if processor else None,
    )


def _task(exported: Exported, names: Sequence[str] | None, given: Mapping[str, Any]) -> Understood:
    if query_places(exported):
        return _detr(exported, names, given)
    place = next((p for p, o in enumerate(exported.outputs) if o.name == "logits"), 0)
    match len(exported.outputs[place].shape):
        case 3 | 4:
            return of_pixels(exported, place, names, given)
        case 2:
            return of_tiles(exported, place, names, given)
    raise PackageError(
        f"{exported.path} returns {shapes_of(exported)}; swath reads logits and pred_boxes (the "
        "DETR family), logits a pixel (SegFormer) or logits a tile. Mask2Former and its like, "
        "whose queries are masks, are none of these"
    )


def _detr(exported: Exported, names: Sequence[str] | None, given: Mapping[str, Any]) -> Understood:
    width = exported.outputs[query_places(exported)[0][0]].shape[2]
    classes = need_classes(names, f"{exported.path} gives {width} logits a query")
    readings = query_readings(exported, classes, settled=True)
    if not readings:
        raise PackageError(
            f"{exported.path} gives {width} logits a query for {len(classes)} classes: "
            f"name {width} (sigmoid: RT-DETR, D-FINE) or {width - 1} of them (softmax: DETR, YOLOS)"
        )
    return choose(exported.path, shapes_of(exported), readings, given)


def _names(config: Mapping[str, Any]) -> list[str] | None:
    named = config.get("id2label")
    if not isinstance(named, Mapping):
        return None
    return [str(named[key]) for key in sorted(named, key=int)]
