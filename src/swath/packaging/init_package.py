"""Create a model package from exported weights."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from swath.errors import InputError, PackageError
from swath.models.mlm_output import Hyperparameters
from swath.packaging.check import CheckReport, check_package
from swath.packaging.conventions import smp, swath, torchvision, transformers, ultralytics
from swath.packaging.conventions.convention import InferredOutputs
from swath.packaging.inspect_weights import (
    SUFFIX_BY_FORMAT,
    ExportedNetwork,
    detect_weights_format,
    inspect_network,
)
from swath.packaging.statistics import add_statistics, parse_units
from swath.packaging.value_scaling import SCALING_CHOICES, Scalings
from swath.packaging.write_mlm import PackageSpec, write_description
from swath.storage.output_folder import work_folder

Library = Literal["ultralytics", "torchvision", "transformers", "smp", "swath"]

_Convention = Callable[[ExportedNetwork, Sequence[str] | None, Mapping[str, Any]], InferredOutputs]
_CONVENTIONS: dict[Library, _Convention] = {
    "ultralytics": ultralytics.infer_outputs,
    "torchvision": torchvision.infer_outputs,
    "transformers": transformers.infer_outputs,
    "smp": smp.infer_outputs,
    "swath": swath.infer_outputs,
}
_NETWORK_STRIDE = 32
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
class InitResult:
    """Result of creating a package."""

    spec: PackageSpec
    report: CheckReport
    assumptions: tuple[str, ...]
    """Assumptions from the library's conventions that the file does not state."""


def init_package(weights: Sequence[Path], out: Path, options: InitOptions) -> InitResult:
    """Create a package from exported weights, and check it.

    Args:
        weights: One network in up to three formats; the first file is inspected.
        out: Folder to create; no partial folder remains after an error.
        options: Options that the weights cannot supply.

    Raises:
        InputError: The folder already exists, or a necessary option is missing.
        PackageError: The weights do not fit the library's convention, or their outputs disagree.
    """
    if out.exists():
        raise InputError(f"{out} already exists; remove it, or choose another folder")
    _check_hyperparameters(options.hyperparameters)
    exported = inspect_network(weights[0], bands=len(options.bands), size=options.tile_size)
    hyperparameters = options.hyperparameters
    inferred = _CONVENTIONS[options.library](exported, options.classes, hyperparameters)
    with work_folder(out.parent) as work:
        folder = work / "package"
        folder.mkdir()
        names = tuple(_copy_weights(path, folder) for path in weights)
        spec = _spec(exported, inferred, options, names)
        write_description(folder, spec)
        if options.scenes:
            add_statistics(folder, options.scenes)
        report = check_package(folder)
        if not report.passed:
            raise PackageError(f"{out} was not created: {'; '.join(report.failures)}")
        folder.rename(out)
    return InitResult(
        spec=spec, report=report, assumptions=_remaining_assumptions(inferred, options)
    )


def _check_hyperparameters(hyperparameters: Mapping[str, Any]) -> None:
    """Refuse hyperparameters that swath does not read, since they would have no effect.

    Raises:
        InputError: A hyperparameter is unknown.
    """
    known = Hyperparameters.__struct_fields__
    for name in hyperparameters:
        if name not in known:
            close_matches = difflib.get_close_matches(name, known, n=1) or [
                k for k in known if name in k
            ]
            hint = (
                f"did you mean {close_matches[0]}?"
                if close_matches
                else f"choose one of {', '.join(known)}"
            )
            raise InputError(f"the hyperparameter {name!r} does not exist: {hint}")


def _spec(
    exported: ExportedNetwork,
    inferred: InferredOutputs,
    options: InitOptions,
    weights: tuple[str, ...],
) -> PackageSpec:
    scaling = options.scaling or inferred.scaling
    if scaling is None:
        raise InputError(
            f"the scaling of the pixels is unknown for {exported.path}: give --scaling, "
            f"{SCALING_CHOICES}"
        )
    return PackageSpec(
        name=options.name,
        architecture=options.architecture
        or inferred.architecture
        or _ARCHITECTURES.get(options.library, options.library),
        task=inferred.task,
        bands=options.bands,
        scaling=scaling,
        tile_size=exported.size,
        overlap=_overlap(exported.size) if options.overlap is None else options.overlap,
        outputs=inferred.outputs,
        classes=inferred.classes,
        hyperparameters={**inferred.hyperparameters, **options.hyperparameters},
        weights=weights,
        input_name=exported.input_name,
        batch=exported.batch or -1,
        parameters=exported.parameters,
        units=parse_units(options.units, len(options.bands)) if options.units else (),
        properties=inferred.properties,
    )


def _remaining_assumptions(inferred: InferredOutputs, options: InitOptions) -> tuple[str, ...]:
    """Return the convention's assumptions that no option overrides."""
    return tuple(
        line
        for line in inferred.assumptions
        if not (options.scaling and line.startswith("pixels"))
        and not ("score_activation" in options.hyperparameters and "score_activation" in line)
    )


def _overlap(size: int) -> int:
    """Return a quarter of a tile in px, rounded down to a multiple of the networks' stride."""
    quarter = size // 4
    return quarter - quarter % _NETWORK_STRIDE if quarter >= _NETWORK_STRIDE else quarter


def _copy_weights(path: Path, folder: Path) -> str:
    """Copy a weights file into the package under its format's standard name; return that name."""
    weights_format = detect_weights_format(path)
    target = folder / f"model{SUFFIX_BY_FORMAT[weights_format]}"
    if target.exists():
        raise InputError(
            f"{path} is the second file of its format; a package has one file of each format"
        )
    if weights_format == "onnx" and importlib.util.find_spec("onnx") is not None:
        _copy_onnx(path, target)
    else:
        shutil.copyfile(path, target)
    return target.name


def _copy_onnx(path: Path, target: Path) -> None:
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
            f"{path} has weights in external files that cannot be merged: {error}"
        ) from error
