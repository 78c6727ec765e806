"""Exports of the libraries themselves, made into packages: swath finds what the libraries find.

`make test-exports`. The weights are random, with a seed: nothing is downloaded.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import cases

from swath.detection.decode import classification, semantic
from swath.detection.postprocess import decode_detections
from swath.errors import SwathError
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from swath.packaging.init_package import InitOptions, init_package
from swath.packaging.value_scaling import parse_scaling
from swath.raster.tiles import Grid

MOST_REFUSED = 1
_FEWEST, _MOST = 10, 200


def main() -> int:
    """Run all cases, or those named; 1 where one is wrong or more than one is refused."""
    wanted = sys.argv[1:] or list(cases.CASES)
    warnings.simplefilter("ignore")
    refused = wrong = 0
    for name in wanted:
        start = time.perf_counter()
        try:
            verdict, words = run(cases.CASES[name])
        except Exception:  # noqa: BLE001 (a case that cannot be made is wrong too)
            verdict, words = "wrong", traceback.format_exc()
        refused += verdict == "refused"
        wrong += verdict == "wrong"
        print(f"{name:34} {verdict:8} {words} ({time.perf_counter() - start:.0f} s)", flush=True)
    print(f"{len(wanted)} exports: {wrong} wrong, {refused} refused or asked about")
    return int(wrong > 0 or refused > MOST_REFUSED)


def run(make: Callable[[Path], cases.Case]) -> tuple[str, str]:
    """Export a network, make a package of it, and compare both on a tile."""
    with tempfile.TemporaryDirectory() as temporary:
        case = make(Path(temporary))
        options = InitOptions(
            library=case.library,
            name="made",
            bands=("red", "green", "blue"),
            scaling=parse_scaling(case.scaling) if case.scaling else None,
            classes=case.classes,
            hyperparameters=case.options,
        )
        try:
            init_package([case.path], Path(temporary, "made"), options)
        except SwathError as error:
            return "refused", str(error)
        package = load_package(Path(temporary, "made"))
        (outputs,) = load_model(package, runtime="onnx")([cases.networks.tile()])
        return _compare(outputs, package.description, case)


def _compare(outputs: Any, description: Any, case: cases.Case) -> tuple[str, str]:
    size = cases.networks.SIZE
    if description.task == "segmentation":
        label, score = semantic.decode(outputs, description, size)
        label = np.where(score >= description.score_threshold, label.astype(int), -1)
        same = float((label == case.label).mean())
        found = len(np.unique(label))
        right = same > 0.999 and found > 1
        return "equal" if right else "wrong", f"{same:.4%} of the semantic, {found} values"
    if description.task == "classification":
        label, score = classification.decode(outputs, description)
        expected, chance = case.label
        right = label == expected and abs(score - chance) < 1e-3
        return "equal" if right else "wrong", f"class {label} {score:.4f}, {expected} {chance:.4f}"
    grid = Grid(width=size, height=size, size=size, overlap=0)
    found = decode_detections(outputs, description, grid.tile(0)).sorted_by_tile()
    return _compare_objects(found, case)


def _compare_objects(found: Any, case: cases.Case) -> tuple[str, str]:
    """Pair objects of one class by their boxes; all must have a partner."""
    boxes, labels, scores = case.objects
    boxes = np.clip(boxes, 0, cases.networks.SIZE)
    kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    boxes, labels, scores = boxes[kept], labels[kept], scores[kept]
    free, off, alone = np.ones(len(boxes), bool), 0.0, 0
    for box, label, score in zip(found.box, found.label, found.score, strict=True):
        far = np.abs(boxes - box).max(axis=1, initial=0) + np.abs(scores - score)
        far = np.where(free & (labels == label), far, np.inf)
        if not len(far) or far.min() > case.slack:
            alone += 1
            continue
        free[far.argmin()] = False
        off = max(off, float(far.min()))
    alone += int(free.sum())
    enough = _FEWEST <= len(boxes) <= _MOST
    words = f"{len(found)} objects, {len(boxes)} by the library, {alone} alone, {off:.2g} px off"
    return "equal" if enough and not alone else "wrong", words


if __name__ == "__main__":
    sys.exit(main())
