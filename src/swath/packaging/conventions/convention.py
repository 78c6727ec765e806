"""Describe an exported network as its library's convention interprets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError
from swath.packaging.write_mlm import PackageOutput

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import Exported, Returned
    from swath.packaging.value_scaling import Scalings

ANY = -1
BACKGROUND = {"background", "__background__"}
"""Names of a background class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """Exported network as its library's convention interprets it."""

    task: str
    outputs: tuple[PackageOutput, ...]
    """Outputs in the network's order."""
    hyperparameters: Mapping[str, Any]
    classes: tuple[str, ...]
    architecture: str | None = None
    scaling: Scalings | None = None
    """Scaling of the pixels; None: the user must state it."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    """Assumptions from the library's convention that the file does not state."""


def need_classes(classes: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """Return the class names, which the user or the file must supply.

    Raises:
        PackageError: No class names are given.
    """
    if not classes:
        raise PackageError(f"{where}: name the classes in the order of its scores with --classes")
    return tuple(classes)


def output(
    returned: Returned,
    axes: Sequence[str],
    exported: Exported,
    *,
    name: str | None = None,
    open_axes: Sequence[int] = (),
    read: bool = True,
) -> PackageOutput:
    """Describe an output for the package.

    Args:
        returned: Output, with its shape for one batch of probes.
        axes: Names of the axes; a first axis "batch" gets the network's batch size.
        exported: Exported network.
        name: Name of the output in the package; None: the network's name.
        open_axes: Indices of the axes that may have any length.
        read: False for an output that is irrelevant to the task.
    """
    shape = [ANY if axis in open_axes else length for axis, length in enumerate(returned.shape)]
    if axes[0] == "batch":
        shape[0] = ANY if exported.batch is None else exported.batch
    return PackageOutput(
        name=name or returned.name,
        shape=tuple(shape),
        axes=tuple(axes),
        data_type=returned.data_type,
        read=read,
    )


def split_background(names: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return (background, other classes); background is None unless it is the first class."""
    if names[0].lower() in BACKGROUND:
        return names[0], tuple(names[1:])
    return None, tuple(names)


def passed_over(returned: Returned) -> PackageOutput:
    """Describe an output that is irrelevant to the task."""
    return PackageOutput(
        name=returned.name,
        shape=returned.shape or (1,),
        axes=tuple(f"axis{place}" for place in range(len(returned.shape) or 1)),
        data_type=returned.data_type,
        read=False,
    )


def shapes_of(exported: Exported) -> str:
    """Return the names, shapes and types of the outputs, for messages."""
    return ", ".join(f"{o.name} {list(o.shape)} {o.data_type}" for o in exported.outputs)


def only(exported: Exported, place: int, axes: Sequence[str]) -> tuple[PackageOutput, ...]:
    """Describe all outputs, of which only one is read.

    Args:
        exported: Exported network.
        place: Index of the output to read.
        axes: Names of that output's axes.
    """
    return tuple(
        output(found, axes, exported) if number == place else passed_over(found)
        for number, found in enumerate(exported.outputs)
    )
