"""A model package made of exported weights."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from swath.errors import InputError, PackageError
from swath.models.mlm_output import Hyperparameters
from swath.packaging.check import CheckReport, check_package
from swath.packaging.conventions import smp, swath, torchvision, transformers, ultralytics
from swath.packaging.conventions.convention import Understood
from swath.packaging.inspect_weights import SUFFIXES, Exported, format_of, read_exported
from swath.packaging.statistics import add_statistics, parse_units
from swath.packaging.value_scaling import WORDS, Scalings
from swath.packaging.write_mlm import PackageSpec, write_description
from swath.storage.output_folder import work_folder

Library = Literal["ultralytics", "torchvision", "transformers", "smp", "swath"]
LIBRARIES: tuple[Library, ...] = get_args(Library)

_Understand = Callable[[Exported, Sequence[str] | None, Mapping[str, Any]], Understood]
_CONVENTIONS: dict[Library, _Understand] = {
    "ultralytics": ultralytics.understand,
    "torchvision": torchvision.understand,
    "transformers": transformers.understand,
    "smp": smp.understand,
    "swath": swath.understand,
}
_GRID = 32
_ARCHITECTURES = {"torchvision": "torchvision", "transformers": "transformers", "smp": "smp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOptions:
    """What the weights cannot tell of themselves."""

    library: Library
    name: str
    bands: tuple[str, ...]
    scaling: Scalings | None = None
    """None: by the convention of the library, where it has one."""
    classes: tuple[str, ...] | None = None
    """None: those in the file."""
    tile_size: int | None = None
    overlap: int | None = None
    """px; None: a quarter of a tile."""
    units: tuple[str, ...] = ()
    """The units of the network's numbers, as `parse_units` reads them."""
    scenes: tuple[str, ...] = ()
    """Scenes like those of the training, for the statistics of their bands."""
    architecture: str | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """In place of what the convention says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """A package that was made."""

    spec: PackageSpec
    report: CheckReport
    assumed: tuple[str, ...]
    """What was taken from the library's conventions and not from the file."""


def init_package(weights: Sequence[Path], out: Path, options: InitOptions) -> Initialised:
    """Make a package of exported weights, and try it.

    Args:
        weights: one network in up to three formats; the first is asked what it is.
        out: the folder to make, whole or not at all.
        options: what the weights cannot tell.

    Raises:
        InputError: the folder is there already, or something is missing that cannot be known.
        PackageError: the weights cannot be used as what they are said to be, or do not agree.
    """
    if out.exists():
        raise InputError(f"{out} is there already; remove it, or choose another folder")
    _check_names(options.hyperparameters)
    exported = read_exported(weights[0], bands=len(options.bands), size=options.tile_size)
    given = options.hyperparameters
    understood = _CONVENTIONS[options.library](exported, options.classes, given)
    with work_folder(out.parent) as work:
        folder = work / "package"
        folder.mkdir()
        placed = tuple(_place(path, folder) for path in weights)
        spec = _spec(exported, understood, options, placed)
        write_description(folder, spec)
        if options.scenes:
            add_statistics(folder, options.scenes)
        report = check_package(folder)
        if not report.passed:
            raise PackageError(f"{out} was not made: {'; '.join(report.faults)}")
        folder.rename(out)
    return Initialised(spec=spec, report=report, assumed=_assumed(understood, options))


def _check_names(given: Mapping[str, Any]) -> None:
    """Refuse hyperparameters that swath does not read: they would decide nothing.

    Raises:
        InputError: there is one.
    """
    known = Hyperparameters.__struct_fields__
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1) or [k for k in known if name in k]
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise InputError(f"there is no hyperparameter {name!r}: {hint}")


def _spec(
    exported: Exported, understood: Understood, options: InitOptions, weights: tuple[str, ...]
) -> PackageSpec:
    scaling = options.scaling or understood.scaling
    if scaling is None:
        raise InputError(
            f"nothing tells how the pixels are scaled for {exported.path}: give --scaling, {WORDS}"
        )
    return PackageSpec(
        name=options.name,
        architecture=options.architecture
        or understood.architecture
        or _ARCHITECTURES.get(options.library, options.library),
        task=understood.task,
        bands=options.bands,
        scaling=scaling,
        tile_size=exported.size,
        overlap=_overlap(exported.size) if options.overlap is None else options.overlap,
        outputs=understood.outputs,
        classes=understood.classes,
        hyperparameters={**understood.hyperparameters, **options.hyperparameters},
        weights=weights,
        input_name=exported.input_name,
        batch=exported.batch or -1,
        parameters=exported.parameters,
        units=parse_units(options.units, len(options.bands)) if options.units else (),
        properties=understood.properties,
    )


def _assumed(understood: Understood, options: InitOptions) -> tuple[str, ...]:
    """Return what the convention says and no option does."""
    return tuple(
        line
        for line in understood.assumed
        if not (options.scaling and line.startswith("pixels"))
        and not ("score_activation" in options.hyperparameters and "score_activation" in line)
    )


def _overlap(size: int) -> int:
    """A quarter of a tile, such that neighbours start on the grid that networks look at."""
    quarter = size // 4
    return quarter - quarter % _GRID if quarter >= _GRID else quarter


def _place(path: Path, folder: Path) -> str:
    """Bring a file of weights into the package, under the name that its format has there."""
    kind = format_of(path)
    target = folder / f"model{SUFFIXES[kind]}"
    if target.exists():
        raise InputError(f"{path} is the second file of its format; a package offers each once")
    if kind == "onnx" and importlib.util.find_spec("onnx") is not None:
        _join(path, target)
    else:
        shutil.copyfile(path, target)
    return target.name


def _join(path: Path, target: Path) -> None:
    """Copy an ONNX model; numbers that it keeps in files beside it are taken into it."""
    onnx = importlib.import_module("onnx")
    helper = importlib.import_module("onnx.external_data_helper")
    graph = onnx.load(path, load_external_data=False).graph
    if not any(helper.uses_external_data(tensor) for tensor in graph.initializer):
        shutil.copyfile(path, target)
        return
    try:
        onnx.save(onnx.load(path), target)
    except Exception as error:
        # A path that leads outside, a file that is not there, more than 2 GiB.
        raise PackageError(
            f"{path} keeps numbers in other files that cannot be taken into it: {error}"
        ) from error
