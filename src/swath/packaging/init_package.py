"""Create a model package from exported weights."""

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
    """Options that the weights cannot supply themselves."""

    library: Library
    name: str
    bands: tuple[str, ...]
    scaling: Scalings | None = None
    """Scaling of the bands; None: the library's convention, if it has one."""
    classes: tuple[str, ...] | None = None
    """Class names; None: those in the file."""
    tile_size: int | None = None
    overlap: int | None = None
    """Overlap of neighboring tiles in px; None: a quarter of a tile."""
    units: tuple[str, ...] = ()
    """Units of the input bands, as `parse_units` reads them."""
    scenes: tuple[str, ...] = ()
    """Scenes like the training scenes, for the statistics of the bands."""
    architecture: str | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """Hyperparameters that override those of the convention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """Result of creating a package."""

    spec: PackageSpec
    report: CheckReport
    assumed: tuple[str, ...]
    """Assumptions from the library's conventions that the file does not state."""


def init_package(weights: Sequence[Path], out: Path, options: InitOptions) -> Initialised:
    """Create a package from exported weights, and check it.

    Args:
        weights: One network in up to three formats; the first file is inspected.
        out: Folder to create; no partial folder remains after an error.
        options: Options that the weights cannot supply.

    Raises:
        InputError: The folder exists already, or a necessary option is missing.
        PackageError: The weights do not fit the library's convention, or their outputs disagree.
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
    """Refuse hyperparameters that swath does not read, since they would have no effect.

    Raises:
        InputError: A hyperparameter is unknown.
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
    """Return the convention's assumptions that no option overrides."""
    return tuple(
        line
        for line in understood.assumed
        if not (options.scaling and line.startswith("pixels"))
        and not ("score_activation" in options.hyperparameters and "score_activation" in line)
    )


def _overlap(size: int) -> int:
    """Return a quarter of a tile in px, rounded down to a multiple of the networks' stride."""
    quarter = size // 4
    return quarter - quarter % _GRID if quarter >= _GRID else quarter


def _place(path: Path, folder: Path) -> str:
    """Copy a weights file into the package under its format's standard name; return that name."""
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
    """Copy an ONNX model; weights that it keeps in external files are merged into the copy."""
    onnx = importlib.import_module("onnx")
    helper = importlib.import_module("onnx.external_data_helper")
    graph = onnx.load(path, load_external_data=False).graph
    if not any(helper.uses_external_data(tensor) for tensor in graph.initializer):
        shutil.copyfile(path, target)
        return
    try:
        onnx.save(onnx.load(path), target)
    except Exception as error:
        # The path leads outside the folder, a file is missing, or the model exceeds 2 GiB.
        raise PackageError(
            f"{path} keeps numbers in other files that cannot be taken into it: {error}"
        ) from error
