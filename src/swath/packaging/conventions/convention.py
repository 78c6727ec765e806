"""What a library's convention says of an exported network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError
from swath.packaging.write_mlm import OutputSpec

if TYPE_CHECKING:
    from swath.packaging.inspect_weights import Exported, Returned
    from swath.packaging.value_scaling import Scalings

ANY = -1
BACKGROUND = {"background", "__background__"}
"""Names of a class that is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """An exported network, by the convention of the library that it comes from."""

    task: str
    outputs: tuple[OutputSpec, ...]
    """In the network's order."""
    hyperparameters: Mapping[str, Any]
    classes: tuple[str, ...]
    architecture: str | None = None
    scaling: Scalings | None = None
    """None: the convention leaves it to the user."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    """What the library does by convention, though the file does not say so."""


def need_classes(classes: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """The classes, which somebody must have named.

    Raises:
        PackageError: nobody has.
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
) -> OutputSpec:
    """What the package says of an output: its first axis is the batch if `axes` begins so."""
    shape = [ANY if axis in open_axes else length for axis, length in enumerate(returned.shape)]
    if axes[0] == "batch":
        shape[0] = ANY if exported.batch is None else exported.batch
    return OutputSpec(
        name=name or returned.name,
        shape=tuple(shape),
        axes=tuple(axes),
        data_type=returned.data_type,
        read=read,
    )


def split_background(names: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """Part a first class that is nothing from those that count; None where there is none."""
    if names[0].lower() in BACKGROUND:
        return names[0], tuple(names[1:])
    return None, tuple(names)


def passed_over(returned: Returned) -> OutputSpec:
    """An output that has nothing to do with the task."""
    return OutputSpec(
        name=returned.name,
        shape=returned.shape or (1,),
        axes=tuple(f"axis{place}" for place in range(len(returned.shape) or 1)),
        data_type=returned.data_type,
        read=False,
    )


def shapes_of(exported: Exported) -> str:
    """The outputs in words, for messages."""
    return ", ".join(f"{o.name} {list(o.shape)} {o.data_type}" for o in exported.outputs)


def only(exported: Exported, place: int, axes: Sequence[str]) -> tuple[OutputSpec, ...]:
    """Describe all outputs, of which one is read."""
    return tuple(
        output(found, axes, exported) if number == place else passed_over(found)
        for number, found in enumerate(exported.outputs)
    )
