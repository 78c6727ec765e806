"""Describe an exported network as its library's convention interprets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError
from swath.packaging.write_mlm import PackageOutput

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import ExportedNetwork, ExportedOutput
    from swath.packaging.value_scaling import Scalings

ANY_LENGTH = -1
BACKGROUND = {"background", "__background__"}
"""Names of a background class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredOutputs:
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
    assumptions: tuple[str, ...] = ()
    """Assumptions from the library's convention that the file does not state."""


def require_classes(classes: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """Return the class names, which the user or the file must supply.

    Raises:
        PackageError: No class names are given.
    """
    if not classes:
        raise PackageError(f"{where}: name the classes in the order of the scores with --classes")
    return tuple(classes)


def describe_output(
    output: ExportedOutput,
    axes: Sequence[str],
    exported: ExportedNetwork,
    *,
    name: str | None = None,
    open_axes: Sequence[int] = (),
    read: bool = True,
) -> PackageOutput:
    """Describe an output for the package.

    Args:
        output: Output, with its shape for one batch of probes.
        axes: Names of the axes; a first axis "batch" gets the network's batch size.
        exported: Exported network.
        name: Name of the output in the package; None: the network's name.
        open_axes: Indices of the axes that may have any length.
        read: False for an output that is irrelevant to the task.
    """
    shape = [
        ANY_LENGTH if axis in open_axes else length for axis, length in enumerate(output.shape)
    ]
    if axes[0] == "batch":
        shape[0] = ANY_LENGTH if exported.batch is None else exported.batch
    return PackageOutput(
        name=name or output.name,
        shape=tuple(shape),
        axes=tuple(axes),
        data_type=output.data_type,
        is_read=read,
    )


def split_background(names: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return (background, other classes); background is None unless it is the first class."""
    if names[0].lower() in BACKGROUND:
        return names[0], tuple(names[1:])
    return None, tuple(names)


def describe_ignored(output: ExportedOutput) -> PackageOutput:
    """Describe an output that is irrelevant to the task."""
    return PackageOutput(
        name=output.name,
        shape=output.shape or (1,),
        axes=tuple(f"axis{index}" for index in range(len(output.shape) or 1)),
        data_type=output.data_type,
        is_read=False,
    )


def describe_shapes(exported: ExportedNetwork) -> str:
    """Return the names, shapes and types of the outputs, for messages."""
    return ", ".join(f"{o.name} {list(o.shape)} {o.data_type}" for o in exported.outputs)


def describe_single(
    exported: ExportedNetwork, index: int, axes: Sequence[str]
) -> tuple[PackageOutput, ...]:
    """Describe all outputs, of which only one is read.

    Args:
        exported: Exported network.
        index: Index of the output to read.
        axes: Names of that output's axes.
    """
    return tuple(
        describe_output(output, axes, exported) if position == index else describe_ignored(output)
        for position, output in enumerate(exported.outputs)
    )
