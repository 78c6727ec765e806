"""Check that the output shapes in `mlm.json` are the shapes that the head decodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swath.errors import PackageError
from swath.models.output_spec import BOX_COLUMNS, OutputSpec, Role

Shape = tuple[int, ...]
"""Shape of an array; -1 means any length."""
_ANY = -1


@dataclass(frozen=True, slots=True)
class _AllowedShapes:
    """Shapes allowed for one output, without the batch axis, and their meaning for a message."""

    shapes: tuple[Shape, ...]
    meaning: str


def check_shapes(shapes: Mapping[Role, list[int]], spec: OutputSpec) -> bool:
    """Check the shapes of the outputs, and return whether the outputs have a batch axis.

    Args:
        shapes: Shape of each output, as `mlm:output` gives it.
        spec: Description of the outputs.

    Raises:
        PackageError: The head cannot decode the shape of an output.
    """
    expected = {role: _expected(role, shapes, spec) for role in shapes}
    first, shape = next(iter(shapes.items()))
    batched = any(len(shape) == 1 + len(allowed) for allowed in expected[first].shapes)
    for role, shape in shapes.items():
        one = tuple(shape[1:] if batched else shape)
        if not any(_fits(one, allowed) for allowed in expected[role].shapes):
            offered = " or ".join(str(["batch", *allowed]) for allowed in expected[role].shapes)
            raise PackageError(
                f"mlm:output has shape {shape} for {role}; the head {spec.head} reads "
                f"{offered.replace(str(_ANY), 'any')}: {expected[role].meaning}"
            )
    return batched


def _fits(shape: Shape, allowed: Shape) -> bool:
    return len(shape) == len(allowed) and all(
        _ANY in pair or pair[0] == pair[1] for pair in zip(shape, allowed, strict=True)
    )


def _expected(role: Role, shapes: Mapping[Role, list[int]], spec: OutputSpec) -> _AllowedShapes:
    if role == "rows":
        return _rows(shapes, spec)
    if spec.head == "scores":
        return _scores(spec)
    columns, classes = BOX_COLUMNS[spec.box_format], len(spec.classes)
    no_object = int(spec.activation == "softmax")
    # If the model applies the softmax itself, the column for "no object" may still be there.
    widths = [classes, classes + 1] if spec.activation == "none" else [classes + no_object]
    labels: tuple[Shape, ...] = ((_ANY, _ANY), (1, _ANY, _ANY))
    expected: dict[Role, _AllowedShapes] = {
        "boxes": _AllowedShapes(((_ANY, columns),), f"{spec.box_format} is {columns} numbers"),
        "logits": _AllowedShapes(
            tuple((_ANY, width) for width in widths),
            f"{classes} classes" + ' and "no object"' * no_object,
        ),
        "scores": _AllowedShapes(((_ANY,),), "one per box"),
        "labels": _AllowedShapes(labels, "one per pixel"),
        "masks": _AllowedShapes(((_ANY, 1, _ANY, _ANY), (_ANY, _ANY, _ANY)), "one per box"),
        "prototypes": _AllowedShapes(((_ANY, _ANY, _ANY),), "(prototypes, rows, cols)"),
        "count": _AllowedShapes(((), (1,)), "the number of rows that are objects"),
    }
    if role == "labels" and spec.head == "torchvision":
        return expected["scores"]
    return expected[role]


def _scores(spec: OutputSpec) -> _AllowedShapes:
    classes = len(spec.classes)
    if spec.task == "classification":
        return _AllowedShapes(((classes,),), f"{classes} scores per tile")
    return _AllowedShapes(((classes, _ANY, _ANY),), f"{classes} scores per pixel")


def _rows(shapes: Mapping[Role, list[int]], spec: OutputSpec) -> _AllowedShapes:
    columns, classes = BOX_COLUMNS[spec.box_format], len(spec.classes)
    meaning = f"{columns} numbers of a {spec.box_format} box"
    match spec.head:
        case "labeled":
            channels, scores = columns + 2, ", a score and a class"
        case "objectness":
            channels, scores = columns + 1 + classes, f", an objectness and {classes} scores"
        case "prototypes":
            prototypes = dict(enumerate(reversed(shapes["prototypes"]))).get(2, _ANY)
            channels = _ANY if prototypes == _ANY else columns + classes + prototypes
            scores = f", {classes} scores and a coefficient for each prototype"
        case _:
            channels, scores = columns + classes, f" and {classes} scores"
    last = spec.output_layout == "channels_last"
    shape = (_ANY, channels) if last else (channels, _ANY)
    return _AllowedShapes((shape,), f"{meaning}{scores} ({spec.output_layout})")
