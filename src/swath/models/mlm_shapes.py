"""Check that the output shapes in `mlm.json` are the shapes that the head decodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swath.errors import PackageError
from swath.models.output_spec import COLUMNS, Answer, Role

Shape = tuple[int, ...]
"""Shape of an array; -1 means any length."""
_ANY = -1


@dataclass(frozen=True, slots=True)
class _Expected:
    """Shapes allowed for one output, without the batch axis, and their meaning for a message."""

    shapes: tuple[Shape, ...]
    words: str


def check_shapes(shapes: Mapping[Role, list[int]], answer: Answer) -> bool:
    """Check the shapes of the outputs, and return whether the outputs have a batch axis.

    Args:
        shapes: Shape of each output, as `mlm:output` gives it.
        answer: Description of the outputs.

    Raises:
        PackageError: The head cannot decode the shape of an output.
    """
    expected = {role: _expected(role, shapes, answer) for role in shapes}
    first, shape = next(iter(shapes.items()))
    batched = any(len(shape) == 1 + len(allowed) for allowed in expected[first].shapes)
    for role, shape in shapes.items():
        one = tuple(shape[1:] if batched else shape)
        if not any(_agree(one, allowed) for allowed in expected[role].shapes):
            offered = " or ".join(str(["batch", *allowed]) for allowed in expected[role].shapes)
            raise PackageError(
                f"mlm:output has shape {shape} for {role}; the head {answer.head} reads "
                f"{offered.replace(str(_ANY), 'any')}: {expected[role].words}"
            )
    return batched


def _agree(shape: Shape, allowed: Shape) -> bool:
    return len(shape) == len(allowed) and all(
        _ANY in pair or pair[0] == pair[1] for pair in zip(shape, allowed, strict=True)
    )


def _expected(role: Role, shapes: Mapping[Role, list[int]], answer: Answer) -> _Expected:
    if role == "rows":
        return _rows(shapes, answer)
    if answer.head == "scores":
        return _scores(answer)
    columns, classes = COLUMNS[answer.box_format], len(answer.classes)
    nothing = int(answer.activation == "softmax")
    # If the model applies the softmax itself, the column for "no object" may still be there.
    widths = [classes, classes + 1] if answer.activation == "none" else [classes + nothing]
    labels: tuple[Shape, ...] = ((_ANY, _ANY), (1, _ANY, _ANY))
    expected: dict[Role, _Expected] = {
        "boxes": _Expected(((_ANY, columns),), f"{answer.box_format} is {columns} numbers"),
        "logits": _Expected(
            tuple((_ANY, width) for width in widths),
            f"{classes} classes" + ", and no object" * nothing,
        ),
        "scores": _Expected(((_ANY,),), "one a box"),
        "labels": _Expected(labels, "one a pixel"),
        "masks": _Expected(((_ANY, 1, _ANY, _ANY), (_ANY, _ANY, _ANY)), "one a box"),
        "prototypes": _Expected(((_ANY, _ANY, _ANY),), "(prototypes, rows, cols)"),
        "count": _Expected(((), (1,)), "how many rows are objects"),
    }
    if role == "labels" and answer.head == "torchvision":
        return expected["scores"]
    return expected[role]


def _scores(answer: Answer) -> _Expected:
    classes = len(answer.classes)
    if answer.task == "classification":
        return _Expected(((classes,),), f"{classes} scores a tile")
    return _Expected(((classes, _ANY, _ANY),), f"{classes} scores a pixel")


def _rows(shapes: Mapping[Role, list[int]], answer: Answer) -> _Expected:
    columns, classes = COLUMNS[answer.box_format], len(answer.classes)
    words = f"{columns} numbers of a {answer.box_format} box"
    match answer.head:
        case "labelled":
            channels, more = columns + 2, ", a score and a class"
        case "objectness":
            channels, more = columns + 1 + classes, f", an objectness and {classes} scores"
        case "prototypes":
            mixed = dict(enumerate(reversed(shapes["prototypes"]))).get(2, _ANY)
            channels = _ANY if mixed == _ANY else columns + classes + mixed
            more = f", {classes} scores and a share of each prototype"
        case _:
            channels, more = columns + classes, f" and {classes} scores"
    last = answer.output_layout == "channels_last"
    shape = (_ANY, channels) if last else (channels, _ANY)
    return _Expected((shape,), f"{words}{more} ({answer.output_layout})")
