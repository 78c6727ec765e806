"""transformers' networks: the DETR family, SegFormer and its like, image classification.

`logits` and `pred_boxes` (centre, width and height in shares of the image) are the DETR family's:
DETR and YOLOS with a last class for no object and a softmax; Deformable and Conditional DETR,
RT-DETR, D-FINE with a sigmoid a class. Semantic segmentation gives `logits` at a part of the
resolution. `config.json` and `preprocessor_config.json`, where they lie beside the weights, name
the classes and what is done to pixels.
https://huggingface.co/docs/transformers/main/model_doc/rt_detr
https://github.com/huggingface/transformers/tree/main/src/transformers/loss
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from swath.authoring.conventions.convention import (
    Understood,
    need_classes,
    of_pixels,
    of_tiles,
    output,
    passed_over,
    shapes_of,
)
from swath.authoring.value_scaling import of_processor
from swath.errors import PackageError

if TYPE_CHECKING:
    from swath.authoring.exported import Exported

_QUERIES, _PIXELS, _TILE = 3, 4, 2
_LOGITS, _BOXES = ("batch", "query", "class"), ("batch", "query", "coordinate")


def understand(exported: Exported, classes: Sequence[str] | None) -> Understood:
    """What an export of transformers is.

    Raises:
        PackageError: its outputs are not those of a task that swath has.
    """
    config: Mapping[str, Any] = exported.beside.get("config.json", {})
    processor = exported.beside.get("preprocessor_config.json")
    names = classes or _names(config)
    architectures = config.get("architectures") or [None]
    return replace(
        _task(exported, names),
        architecture=architectures[0],
        scaling=of_processor(processor) if processor else None,
    )


def _task(exported: Exported, names: Sequence[str] | None) -> Understood:
    places = _places(exported)
    if {"logits", "boxes"} <= places.keys():
        return _detr(exported, places, names)
    logits = places.get("logits", 0)
    match len(exported.outputs[logits].shape):
        case 4:
            return of_pixels(exported, logits, names)
        case 2:
            return of_tiles(exported, logits, names)
    raise PackageError(
        f"{exported.path} returns {shapes_of(exported)}; swath reads logits and pred_boxes (the "
        "DETR family), logits a pixel (SegFormer) or logits a tile. Mask2Former and its like, "
        "whose queries are masks, are none of these"
    )


def _places(exported: Exported) -> dict[str, int]:
    """Where logits and boxes are: by their names, else by their shapes."""
    named = {"logits": "logits", "pred_boxes": "boxes", "boxes": "boxes"}
    places = {named[o.name]: p for p, o in enumerate(exported.outputs) if o.name in named}
    if places:
        return places
    rows = [p for p, o in enumerate(exported.outputs) if len(o.shape) == _QUERIES]
    boxes = [p for p in rows if exported.outputs[p].shape[2] == 4]  # noqa: PLR2004 (a box)
    # Four classes look like a box; the library returns logits first.
    if boxes and len(rows) > 1:
        return {"boxes": boxes[-1], "logits": next(p for p in rows if p != boxes[-1])}
    return {}


def _detr(exported: Exported, places: Mapping[str, int], names: Sequence[str] | None) -> Understood:
    width = exported.outputs[places["logits"]].shape[2]
    classes = need_classes(names, f"{exported.path} gives {width} logits a query")
    if width not in {len(classes), len(classes) + 1}:
        raise PackageError(
            f"{exported.path} gives {width} logits a query for {len(classes)} classes: "
            f"name {width} (sigmoid: RT-DETR, D-FINE) or {width - 1} of them (softmax: DETR, YOLOS)"
        )
    focal = width == len(classes)
    axes = {places["logits"]: ("logits", _LOGITS), places["boxes"]: ("boxes", _BOXES)}
    return Understood(
        task="object-detection",
        outputs=tuple(
            output(found, axes[place][1], exported, name=axes[place][0])
            if place in axes
            else passed_over(found)
            for place, found in enumerate(exported.outputs)
        ),
        hyperparameters={
            "head": "detr",
            "score_activation": "sigmoid" if focal else "softmax",
            "score_threshold": 0.5,
            "merge": {"strategy": "none"},
        },
        classes=classes,
    )


def _names(config: Mapping[str, Any]) -> list[str] | None:
    named = config.get("id2label")
    if not isinstance(named, Mapping):
        return None
    return [str(named[key]) for key in sorted(named, key=int)]
