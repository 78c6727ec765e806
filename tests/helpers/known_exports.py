"""Exports with known results: the outputs are constants, in each format that libraries write.

`draw` returns one of them: its outputs, the objects in them, and the metadata of its exporter. Some
have so little data or metadata that their format cannot be determined.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIZE = 64
_TYPES = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "uint8": TensorProto.UINT8,
}
NAMES = ("ship", "buoy", "pier", "crane", "ferry")


@dataclass
class Known:
    """An export and its answers."""

    kind: str
    library: str
    outputs: list[tuple[str, np.ndarray]]
    """In order, without the batch axis where `batched`."""
    classes: tuple[str, ...]
    """As the user or the file names them."""
    objects: list[tuple[int, float, tuple[float, ...]]] = field(default_factory=list)
    """(class, score, x0, y0, x1, y1) in px; of oriented boxes their centers and sides."""
    label: np.ndarray | None = None
    """The class of each pixel, or of the tile; -1 where none is reported."""
    metadata: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    """Options that a user who knows the export sets."""
    batched: bool = True
    plain: bool = False
    """Whether there is enough in it to read it without a question."""
    reported: tuple[str, ...] | None = None
    """The classes that the package has, where these are fewer."""


def onnx_of(known: Known) -> bytes:
    """The export as ONNX: its constants, and nothing of the tile."""
    held = {"zero": np.array(0, np.float32)}
    axes = [1, 2, 3] if known.batched else [0, 1, 2, 3]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0, axes=axes),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    described = []
    for number, (name, array) in enumerate(known.outputs):
        kind = _TYPES[str(array.dtype)]
        first = [-1] if known.batched else []
        held[f"c{number}"] = array.astype(np.float32)
        held[f"s{number}"] = np.array([*first, *[1] * array.ndim], np.int64)
        nodes += [
            helper.make_node("Reshape", ["nothing", f"s{number}"], [f"r{number}"]),
            helper.make_node("Add", [f"r{number}", f"c{number}"], [f"f{number}"]),
            helper.make_node("Cast", [f"f{number}"], [name], to=kind),
        ]
        shape = [*(["b"] if known.batched else []), *array.shape]
        described.append(helper.make_tensor_value_info(name, kind, shape))
    batch = "b" if known.batched else 1
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, SIZE, SIZE])
    graph = helper.make_graph(
        nodes,
        "known",
        [image],
        described,
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, known.metadata)
    return model.SerializeToString()


def draw(rng: np.random.Generator, kind: str | None = None) -> Known:
    """One of all kinds of exports, or one of a kind."""
    return KINDS[kind or str(rng.choice(list(KINDS)))](rng)


def _classes(rng, most=5):
    return NAMES[: int(rng.integers(1, most + 1))]


def _objects(rng, classes, *, count=None):
    """Objects far apart, in corners of px: (n, 4), scores and classes."""
    cells = rng.permutation(16)[: count or int(rng.integers(1, 9))]
    low = np.stack([cells % 4, cells // 4], axis=1) * 16.0 + rng.uniform(1, 4, (len(cells), 2))
    box = np.concatenate([low, low + rng.uniform(5, 10, (len(cells), 2))], axis=1)
    score = rng.uniform(0.6, 0.99, len(cells))
    return np.round(box, 2), np.round(score, 3), rng.integers(0, classes, len(cells))


def _listed(box, score, label):
    return [
        (int(c), float(s), tuple(map(float, b))) for b, s, c in zip(box, score, label, strict=True)
    ]


def _noise_boxes(rng, count):
    """Boxes in corners of px, anywhere: what a network's other candidates are."""
    low = rng.uniform(0, 52, (count, 2))
    return np.concatenate([low, low + rng.uniform(3, 12, (count, 2))], axis=1)


def _formed(box, box_format, units):
    """Boxes in corners of px in another form."""
    box = np.asarray(box, float)
    if box_format == "cxcywh":
        box = np.concatenate([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], axis=1)
    return box / SIZE if units == "normalized" else box


def _notes(rng, classes, task, *, settled=False, head="Detect", model="YOLO11n"):
    """Return the notes of an Ultralytics exporter (today's, an earlier one's, none), and which."""
    names = str(dict(enumerate(classes)))
    amount = str(rng.choice(["today", "earlier", "nothing"]))
    if amount == "nothing":
        return {}, amount
    notes = {
        "description": f"Ultralytics {model} model trained on ships.yaml",
        "task": task,
        "names": names,
        "imgsz": f"[{SIZE}, {SIZE}]",
        "stride": "32",
    }
    if amount == "today":
        nms = settled and head == "Detect" and bool(rng.integers(2))
        notes |= {"end2end": str(settled and not nms), "head": head, "args": f"{{'nms': {nms}}}"}
    return notes, amount


def _rows_known(rng, kind, rows, objects, classes, settings, **more):
    """Rows with channels last; turned where the settings say so."""
    rows = np.asarray(rows, np.float32)
    if settings.get("output_layout", "channels_first") == "channels_first":
        rows = rows.T
    name = str(rng.choice(["output0", "output", "rows"]))
    return Known(kind, "ultralytics", [(name, rows)], classes, objects, settings=settings, **more)


def _candidates(rng, box, score, label, classes, *, sparse):
    """All candidates: boxes with one score per class; sparse ones are zero but for the objects."""
    count = int(rng.choice([84, 100, 252]))
    every = np.zeros((count, 4)) if sparse else _noise_boxes(rng, count)
    scores = np.zeros((count, classes))
    if not sparse:
        scores = rng.uniform(1e-4, 0.04, (count, classes))
    at = rng.permutation(count)[: len(box)]
    every[at], scores[at, label] = box, score
    return every, scores, at


def dense(rng):
    """YOLOv8 and its kin, one score per class; also transposed, normalized, or with corners."""
    classes = _classes(rng)
    box, score, label = _objects(rng, len(classes))
    sparse = bool(rng.random() < 0.25)
    every, scores, at = _candidates(rng, box, score, label, len(classes), sparse=sparse)
    settings = {
        "head": "rows",
        "box_format": str(rng.choice(["cxcywh", "cxcywh", "xyxy"])),
        "box_units": str(rng.choice(["px", "px", "normalized"])),
        "output_layout": str(rng.choice(["channels_first", "channels_last"])),
    }
    notes, amount = _notes(rng, classes, "detect")
    if sparse and notes:
        settings["box_format"] = "cxcywh"  # a few numbers prove no exporter wrong
    rows = _formed(every, settings["box_format"], settings["box_units"])
    if sparse:
        rows[~np.isin(np.arange(len(rows)), at)] = 0
    rows = np.concatenate([rows, scores], axis=1)
    usual = settings["box_format"] == "cxcywh" and settings["box_units"] == "px"
    plain = not sparse and usual and len(box) and amount == "today"
    return _rows_known(
        rng,
        "dense",
        rows,
        _listed(box, score, label),
        classes,
        settings,
        metadata=notes,
        plain=bool(plain),
    )


def settled(rng):
    """YOLOv10, YOLO26 and exports with NMS inside; and normalized centers of RT-DETR."""
    classes = _classes(rng)
    box, score, label = _objects(rng, len(classes))
    form = str(rng.choice(["yolo", "rt-detr", "other"]))
    box_format, units = {
        "yolo": ("xyxy", "px"),
        "rt-detr": ("cxcywh", "normalized"),
        "other": ("xyxy", "normalized"),
    }[form]
    padded = bool(rng.integers(2))
    rows = np.concatenate([box, score[:, None], label[:, None]], axis=1)
    if not padded:
        rest = rng.uniform(1e-4, 0.04, 292)
        more = rng.integers(0, len(classes), 292)
        rows = np.concatenate([rows, np.column_stack([_noise_boxes(rng, 292), rest, more])])
    rows = rows[np.argsort(-rows[:, 4])]
    rows[:, :4] = _formed(rows[:, :4], box_format, units)
    rows = np.concatenate([rows, np.zeros((300 - len(rows), 6))])
    head, model = ("RTDETRDecoder", "rtdetr-l") if form == "rt-detr" else ("Detect", "YOLO26n")
    notes, amount = _notes(
        rng, classes, "detect", settled=form != "rt-detr", head=head, model=model
    )
    settings = {
        "head": "labeled",
        "box_format": box_format,
        "box_units": units,
        "output_layout": "channels_last",
    }
    return _rows_known(
        rng,
        f"settled {form}",
        rows,
        _listed(box, score, label),
        classes,
        settings,
        metadata=notes,
        # Few rows of RT-DETR's two forms look alike.
        plain=form != "other" and amount == "today" and not (padded and form == "rt-detr"),
    )


def queries(rng):
    """RT-DETR as Ultralytics exported it before: normalized boxes and one score per class."""
    classes = _classes(rng)
    box, score, label = _objects(rng, len(classes))
    rows = np.concatenate([_noise_boxes(rng, 300), rng.uniform(1e-4, 0.04, (300, len(classes)))], 1)
    at = rng.permutation(300)[: len(box)]
    rows[at, :4], rows[at, 4 + label] = box, score
    rows[:, :4] = _formed(rows[:, :4], "cxcywh", "normalized")
    notes, amount = _notes(rng, classes, "detect", head="RTDETRDecoder", model="rtdetr-l")
    settings = {
        "head": "rows",
        "box_format": "cxcywh",
        "box_units": "normalized",
        "output_layout": "channels_last",
    }
    return _rows_known(
        rng,
        "queries",
        rows,
        _listed(box, score, label),
        classes,
        settings,
        metadata=notes,
        plain=amount == "today",
    )


def objectness(rng):
    """YOLOv5, YOLOv7, YOLOX: a score is the objectness times the class's."""
    classes = _classes(rng)
    box, score, label = _objects(rng, len(classes))
    sparse = bool(rng.random() < 0.25)
    every, scores, at = _candidates(rng, box, score, label, len(classes), sparse=sparse)
    there = np.zeros(len(every)) if sparse else rng.uniform(1e-3, 0.3, len(every))
    there[at] = np.round(rng.uniform(0.9, 0.99, len(at)), 3)
    rows = _formed(every, "cxcywh", "px")
    rows[np.setdiff1d(np.arange(len(rows)), at)] *= not sparse
    rows = np.concatenate([rows, there[:, None], scores], axis=1)
    settings = {
        "head": "objectness",
        "box_format": "cxcywh",
        "box_units": "px",
        "output_layout": str(rng.choice(["channels_last", "channels_last", "channels_first"])),
    }
    old = bool(rng.integers(2))
    notes = {"stride": "32", "names": str(dict(enumerate(classes)))} if old else {}
    return _rows_known(
        rng,
        "objectness",
        rows,
        _listed(box, score * there[at], label),
        classes,
        settings,
        metadata=notes,
        plain=old and not sparse,
    )


def oriented(rng):
    """YOLO's oriented boxes, as candidates or settled, the angle last."""
    classes = _classes(rng)
    box, score, label = _objects(rng, len(classes))
    listed = bool(rng.integers(2))
    if listed:
        rows = np.concatenate([box, score[:, None], label[:, None]], axis=1)
        more = np.column_stack([_noise_boxes(rng, 60), rng.uniform(1e-3, 0.04, 60), np.zeros(60)])
        rows = np.concatenate([rows, more])
        at = np.arange(len(box))
    else:
        every, scores, at = _candidates(rng, box, score, label, len(classes), sparse=False)
        rows = np.concatenate([every, scores], axis=1)
    rows[:, :4] = _formed(rows[:, :4], "cxcywh", "px")
    rows = np.column_stack([rows, rng.uniform(-0.7, 2.3, len(rows))])
    rows[at, -1] = 0.0  # so that objects are their boxes
    last = listed or bool(rng.integers(2))
    settings = {
        "head": "labeled" if listed else "rows",
        "box_format": "cxcywhr",
        "output_layout": "channels_last" if last else "channels_first",
    }
    notes, amount = _notes(rng, classes, "obb", settled=listed, model="YOLO11n-obb")
    return _rows_known(
        rng,
        "oriented",
        rows,
        _listed(box, score, label),
        classes,
        settings,
        metadata=notes,
        plain=amount == "today",
    )


def nms_plugin(rng):
    """Draw outputs for the object count, boxes, scores and classes, in any order.

    Rows beyond the count are left over.
    """
    classes = _classes(rng)
    box, score, label = _objects(rng, len(classes))
    count = len(box)
    boxes = np.concatenate([box, _noise_boxes(rng, 100 - count)])
    garbage = bool(rng.integers(2))
    scores = np.concatenate([score, rng.uniform(0.5, 0.9, 100 - count) * garbage])
    labels = np.concatenate([label, np.zeros(100 - count)])
    kind = str(rng.choice(["int32", "int64", "float32"]))
    outputs = [
        ("num_dets", np.array([count], kind)),
        ("det_boxes", boxes.astype(np.float32)),
        ("det_scores", scores.astype(np.float32)),
        ("det_classes", labels.astype(kind)),
    ]
    named = bool(rng.random() < 0.75)
    outputs = [outputs[place] for place in rng.permutation(4)]
    if not named:
        outputs = [(f"out{place}", array) for place, (_, array) in enumerate(outputs)]
    return Known(
        "nms plugin",
        "ultralytics",
        outputs,
        classes,
        _listed(box, score, label),
        settings={"box_format": "xyxy", "box_units": "px", "first_label": 0},
        plain=named,
    )


def detector(rng):
    """torchvision's detectors: boxes, labels from 1 on and scores, in any order, maybe unnamed."""
    classes = _classes(rng)
    background = bool(rng.integers(2))
    box, score, label = _objects(rng, len(classes))
    outputs = [
        ("boxes", box.astype(np.float32)),
        ("labels", (label + 1).astype(str(rng.choice(["int64", "int32", "float32"])))),
        ("scores", score.astype(np.float32)),
    ]
    outputs = [outputs[place] for place in rng.permutation(3)]
    if rng.integers(2):
        outputs = [(str(3300 + place), array) for place, (_, array) in enumerate(outputs)]
    return Known(
        "detector",
        "torchvision",
        outputs,
        (str(rng.choice(["background", "__background__"])), *classes) if background else classes,
        _listed(box, score, label),
        settings={"first_label": 1, "box_format": "xyxy", "box_units": "px"},
        batched=False,
        plain=True,
        reported=classes,
    )


def detr(rng):
    """DETR and its kin: logits or scores, with and without a column for no object."""
    classes = _classes(rng)
    box, score, label = _objects(rng, len(classes))
    count, width = 60, len(classes)
    form = str(rng.choice(["softmax", "sigmoid", "softmaxed", "sliced", "sigmoided"]))
    chance = rng.uniform(1e-3, 0.03, (count, width + 1))
    at = rng.permutation(count)[: len(box)]
    chance[at, label] = score
    if form in {"softmax", "softmaxed", "sliced"}:
        for row, own in zip(at, label, strict=True):
            rest = np.arange(width) != own
            chance[row, :-1][rest] = (1 - chance[row, own]) / (4 * width)
        chance[:, -1] = 1 - chance[:, :-1].sum(axis=1)
    else:
        chance = chance[:, :-1]
    logits = {
        "softmax": lambda: np.log(chance) + rng.normal(0, 2, (count, 1)),
        "sigmoid": lambda: np.log(chance / (1 - chance)),
        "softmaxed": lambda: chance,
        "sliced": lambda: chance[:, :-1],
        "sigmoided": lambda: chance,
    }[form]()
    boxes = _noise_boxes(rng, count)
    boxes[at] = box
    odd = bool(rng.random() < 0.25)
    box_format, units = ("xyxy", "px") if odd else ("cxcywh", "normalized")
    outputs = [
        ("logits", logits.astype(np.float32)),
        ("pred_boxes", _formed(boxes, box_format, units).astype(np.float32)),
    ]
    outputs = [outputs[place] for place in rng.permutation(2)]
    named = bool(rng.random() < 0.75)
    if not named:
        outputs = [(f"out{place}", array) for place, (_, array) in enumerate(outputs)]
    activation = form if form in {"softmax", "sigmoid"} else "none"
    return Known(
        f"detr {form}",
        "transformers",
        outputs,
        classes,
        _listed(box, score, label),
        settings={
            "score_activation": activation,
            "box_format": box_format,
            "box_units": units,
        },
        plain=named and not odd,
    )


def pixels(rng):
    """Segmentation: logits, scores, or labels, of one class or several."""
    classes = _classes(rng, 4)
    count = len(classes)
    form = str(rng.choice(["logits", "scores", "labels", "labels of one channel"]))
    library = str(rng.choice(["smp", "transformers", "torchvision"]))
    rows, cols = np.mgrid[:SIZE, :SIZE] // 16
    label = (rows + 2 * cols + int(rng.integers(4))) % (count + (count == 1))
    settings: dict[str, Any] = {}
    if form.startswith("labels"):
        first = int(rng.integers(2))
        # One class has a 0 for nothing, or nothing to tell.
        number = label if count == 1 else label + first
        expected = number - (first if count > 1 else 1)
        settings = {"head": "labels", "first_label": first if count > 1 else 1}
        array = number.astype(str(rng.choice(["int64", "uint8", "float32", "int32"])))
        array = array[None] if form.endswith("channel") else array
    elif count == 1:
        chance = np.where(label == 0, rng.uniform(0.7, 0.95), rng.uniform(0.05, 0.3))
        expected = np.where(label == 0, 0, -1)
        settings = {"score_activation": "none" if form == "scores" else "sigmoid"}
        chance = chance[None].astype(np.float32)
        array = chance if form == "scores" else np.log(chance / (1 - chance)).astype(np.float32)
    else:
        logit = rng.normal(0, 1, (count, SIZE, SIZE))
        logit = np.where(np.arange(count)[:, None, None] == label, 5.0 + np.abs(logit), logit)
        chance = np.exp(logit) / np.exp(logit).sum(axis=0)
        expected = label
        settings = {"score_activation": "none" if form == "scores" else "softmax"}
        logit = np.round(logit) if rng.random() < 0.25 else logit
        array = (chance if form == "scores" else logit).astype(np.float32)
    name = "logits" if library == "transformers" else "out"
    return Known(
        f"pixels {form}",
        library if array.ndim == 3 or library != "torchvision" else "smp",
        [(name, array)],
        classes,
        label=expected,
        settings=settings,
        plain=not form.startswith("labels"),
    )


def tiles(rng):
    """Tile classification: logits, or scores after a softmax or a sigmoid."""
    classes = NAMES[: int(rng.integers(2, 6))]
    label = int(rng.integers(len(classes)))
    form = str(rng.choice(["logits", "softmaxed", "sigmoided"]))
    logit = rng.normal(0, 1, len(classes))
    logit[label] = 6.0
    chance = np.exp(logit) / np.exp(logit).sum()
    logit = np.round(logit) if rng.random() < 0.25 else logit
    array = {"logits": logit, "softmaxed": chance, "sigmoided": 1 / (1 + np.exp(-logit))}[form]
    return Known(
        f"tiles {form}",
        str(rng.choice(["ultralytics", "torchvision", "transformers"])),
        [("output0", array.astype(np.float32))],
        classes,
        label=np.array(label),
        settings={"score_activation": "softmax" if form == "logits" else "none"},
        plain=True,
    )


def prototypes(rng):
    """YOLO's segmenters: rows that end with shares of prototypes, also turned."""
    classes = _classes(rng)
    box, score, label = _objects(rng, len(classes))
    box = np.round(box)  # a mask is of the pixels whose centers are in the box
    every, scores, at = _candidates(rng, box, score, label, len(classes), sparse=False)
    shares = rng.normal(0, 1, (len(every), 8))
    shares[at] = 10.0
    rows = np.concatenate([_formed(every, "cxcywh", "px"), scores, shares], axis=1)
    turned = bool(rng.integers(2))
    outputs = [
        ("output0", (rows if turned else rows.T).astype(np.float32)),
        ("output1", np.ones((8, SIZE, SIZE), np.float32)),
    ]
    outputs = outputs[:: int(rng.choice([1, -1]))]
    notes, _ = _notes(rng, classes, "segment", head="Segment", model="YOLO11n-seg")
    return Known(
        "prototypes",
        "ultralytics",
        outputs,
        classes,
        _listed(box, score, label),
        metadata=notes,
        plain=True,
    )


def pair(rng):
    """Boxes and one score per class in two outputs, candidates for NMS: YOLO-NAS and its kin."""
    classes = _classes(rng)
    box, score, label = _objects(rng, len(classes))
    every, scores, _ = _candidates(rng, box, score, label, len(classes), sparse=False)
    settings = {
        "box_format": str(rng.choice(["xyxy", "cxcywh"])),
        "box_units": str(rng.choice(["px", "normalized"])),
        "score_activation": "none",
    }
    boxes = _formed(every, settings["box_format"], settings["box_units"])
    outputs = [("boxes", boxes.astype(np.float32)), ("scores", scores.astype(np.float32))]
    outputs = outputs[:: int(rng.choice([1, -1]))]
    if rng.integers(2):
        outputs = [(f"out{place}", array) for place, (_, array) in enumerate(outputs)]
    return Known(
        "pair",
        "ultralytics",
        outputs,
        classes,
        _listed(box, score, label),
        settings=settings,
    )


KINDS = {
    function.__name__: function
    for function in (
        dense,
        settled,
        queries,
        objectness,
        oriented,
        nms_plugin,
        detector,
        detr,
        pixels,
        tiles,
        prototypes,
        pair,
    )
}
