"""Optimize a model package, measure the loss on scenes, and refuse too large a loss."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.errors import InputError, PackageError
from swath.models import packing
from swath.models.package import ModelPackage, Weights, load_package
from swath.models.runtimes.base import Model
from swath.models.runtimes.load import load_model
from swath.packaging import sample_tiles
from swath.packaging.check import OPTIMIZED_PROPERTY, check_package, milliseconds
from swath.packaging.compare_outputs import Agreement, total_agreement
from swath.packaging.quantize import Precision, to_float16, to_int8
from swath.packaging.write_mlm import build_assets, write_item
from swath.storage.output_folder import work_folder

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.packaging.sample_tiles import Tile

_WEIGHTS = "model.onnx"
_DEFAULT_TILES = 32
_METRICS = ("AP50", "mIoU")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizationResult:
    """Loss and gain of an optimized package."""

    precision: Precision
    agreement: Agreement
    """Agreement of both packages' reports on tiles of the scenes."""
    tiles: int
    bytes_before: int
    bytes_after: int
    milliseconds_before: float
    """Time for one tile on this machine's CPU with ONNX Runtime, in ms."""
    milliseconds_after: float
    accuracy_before: float | None = None
    """AP at an IoU of 0.5, or mIoU for segmentation, on labeled scenes; None without labels."""
    accuracy_after: float | None = None

    @property
    def loss(self) -> float:
        """Loss of AP or mIoU if measured, else the share of reports that no longer agree."""
        if self.accuracy_before is not None and self.accuracy_after is not None:
            return self.accuracy_before - self.accuracy_after
        return 1 - self.agreement.share


def optimize_package(
    uri: str | Path,
    out: Path,
    precision: Precision,
    *,
    scenes: Sequence[str],
    tolerance: float,
    labels: Collection | None = None,
    tiles: int = _DEFAULT_TILES,
) -> OptimizationResult:
    """Create a package whose ONNX weights compute at lower precision.

    Args:
        uri: Folder, local `model.tar.gz` or S3 URI of the original package.
        out: Folder to create; no partial folder remains after an error.
        precision: `float16` or `int8`.
        scenes: Scenes for calibration and for the comparison, each on different tiles.
        tolerance: Maximum loss of AP or mIoU if there are labels, else of agreement.
        labels: Labeled scenes on which both packages are evaluated.
        tiles: Number of tiles for calibration, and number of tiles for the comparison.

    Raises:
        InputError: The folder already exists, there are no scenes, or no package detects anything
            in them.
        PackageError: The package has no ONNX weights, they cannot be converted, or the loss is too
            large.
    """
    if out.exists():
        raise InputError(f"{out} already exists; remove it, or choose another folder")
    if not scenes:
        raise InputError("no scene to measure the loss is given: give --scene, once for each scene")
    package = load_package(uri)
    source = _onnx_weights(package)
    with work_folder(out.parent) as work:
        folder = work / "package"
        folder.mkdir()
        _convert(source, folder / _WEIGHTS, precision, package, scenes, tiles)
        _describe(package.folder, folder, package, precision)
        report = check_package(folder)
        if not report.passed:
            raise PackageError(f"the {precision} weights do not work: {'; '.join(report.failures)}")
        test_tiles = list(sample_tiles.from_scenes(scenes, package.description, count=tiles))
        if not test_tiles:
            raise InputError(f"there is no valid pixel in {', '.join(scenes)}")
        accuracy = _accuracy(uri, folder, labels)
        result = _compare(package, source, folder, precision, test_tiles, accuracy)
        _check_comparison(result, scenes)
        if result.loss > tolerance:
            metric = "agreement" if result.accuracy_before is None else "AP or mIoU"
            raise PackageError(
                f"{out} was not created: {precision} loses {result.loss:.3f} of {metric}, more "
                f"than the {tolerance:g} of --max-loss; calibrate with more or other --scene"
            )
        _describe(package.folder, folder, package, precision, result)
        folder.rename(out)
    return result


def _check_comparison(result: OptimizationResult, scenes: Sequence[str]) -> None:
    """Refuse a comparison that cannot show a loss.

    Raises:
        InputError: Neither package detects an object in the scenes, or the original's accuracy on
            the labeled scenes is 0.
    """
    if result.accuracy_before == 0:
        raise InputError(
            "the comparison proves nothing: AP or mIoU of the package is 0 on the labeled scenes, "
            "so there is no loss to measure; give --val-labels of scenes with objects that the "
            "package detects"
        )
    if result.accuracy_before is None and not result.agreement.total:
        raise InputError(
            "the comparison proves nothing: neither package detects an object in "
            f"{result.tiles} tiles of {', '.join(scenes)}, so there is no loss to measure; give "
            "--scene with objects, or more --tiles"
        )


def _onnx_weights(package: ModelPackage) -> Weights:
    for weights in package.weights:
        if weights.format == "onnx":
            return weights
    raise PackageError(f"the package {package.description.name} has no ONNX weights to optimize")


def _convert(
    source: Weights,
    target: Path,
    precision: Precision,
    package: ModelPackage,
    scenes: Sequence[str],
    tiles: int,
) -> None:
    if precision == "float16":
        to_float16(source.path, target)
        return
    # Calibration uses other tiles than the comparison, as far as the scenes have enough.
    calibration = sample_tiles.from_scenes(scenes, package.description, count=tiles, offset=0.0)
    to_int8(source.path, target, calibration, package.description)


def _describe(
    original: Path,
    folder: Path,
    package: ModelPackage,
    precision: Precision,
    result: OptimizationResult | None = None,
) -> None:
    """Write the original's description with the new weights and, if known, their loss."""
    item: dict[str, Any] = json.loads((original / packing.DESCRIPTION_FILE).read_bytes())
    properties = item["properties"]
    properties["mlm:name"] = item["id"] = f"{package.description.name}-{precision}"
    item["assets"] = build_assets(folder, [_WEIGHTS])
    properties[OPTIMIZED_PROPERTY] = {"from": package.digest, "precision": precision}
    if result:
        properties[OPTIMIZED_PROPERTY] |= {
            "agreement": round(result.agreement.share, 4),
            "tiles": result.tiles,
            "accuracy_before": result.accuracy_before,
            "accuracy_after": result.accuracy_after,
        }
    write_item(folder, item)


def _compare(
    package: ModelPackage,
    source: Weights,
    folder: Path,
    precision: Precision,
    test_tiles: Sequence[Tile],
    accuracy: tuple[float | None, float | None],
) -> OptimizationResult:
    before, after = _load_onnx(package), _load_onnx(load_package(folder))
    return OptimizationResult(
        precision=precision,
        agreement=_agreement(before, after, test_tiles, package),
        tiles=len(test_tiles),
        bytes_before=source.path.stat().st_size,
        bytes_after=(folder / _WEIGHTS).stat().st_size,
        milliseconds_before=milliseconds(before, test_tiles[0]),
        milliseconds_after=milliseconds(after, test_tiles[0]),
        accuracy_before=accuracy[0],
        accuracy_after=accuracy[1],
    )


def _load_onnx(package: ModelPackage) -> Model:
    return load_model(package, runtime="onnx", format="onnx")


def _agreement(
    before: Model, after: Model, tiles: Sequence[Tile], package: ModelPackage
) -> Agreement:
    """Return the agreement of two models on tiles, each run alone."""
    outputs_before = [outputs for tile in tiles for outputs in before([tile])]
    outputs_after = [outputs for tile in tiles for outputs in after([tile])]
    return total_agreement(outputs_before, outputs_after, package.description)


def _accuracy(
    uri: str | Path, smaller: Path, labels: Collection | None
) -> tuple[float | None, float | None]:
    """Return AP at an IoU of 0.5 or mIoU of the original and the optimized package."""
    if labels is None:
        return None, None
    # Imported here since evaluation needs more dependencies than the rest.
    from swath.evaluation.evaluate import evaluate  # noqa: PLC0415

    result = []
    for package in (str(uri), str(smaller)):
        with tempfile.TemporaryDirectory() as folder:
            metrics = evaluate(package, labels, Path(folder), report=False).metrics
        result.append(next((metrics[name] for name in _METRICS if metrics.get(name)), 0.0))
    return result[0], result[1]
