"""Tests of random exports of all kinds: each is read correctly, or `init` asks for options.

If `init` asks, the options that it names lead to the correct result.
"""

import os
import zlib
from collections import Counter

import numpy as np
import pytest

from swath.detection.decode import classification, semantic
from swath.detection.detections import NO_LABEL
from swath.detection.postprocess import decode_detections
from swath.errors import PackageError
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from swath.models.scaling import Scale
from swath.packaging.init_package import InitOptions, init_package
from swath.raster.tiles import Grid
from tests.helpers.fuzzing import draws
from tests.helpers.known_exports import KINDS, SIZE, draw, onnx_of

DRAWS = draws(10, fuzz=250)
"""Number of random exports of each kind."""
SEED = int(os.environ.get("SWATH_EXPORTS_SEED", "0"))


def make(known, folder, settings):
    """Return the package that `init` makes of an export."""
    path = folder / "export.onnx"
    path.write_bytes(onnx_of(known))
    out = folder / f"made-{len(settings)}"
    options = InitOptions(
        library=known.library,
        name="made",
        bands=("red", "green", "blue"),
        scaling=(Scale(value=255.0),),
        classes=known.classes,
        overlap=16,
        hyperparameters=settings,
    )
    init_package([path], out, options)
    return load_package(out)


def answers(package):
    """Return a package's result for a tile: objects, or a class for each pixel, or for the tile."""
    description = package.description
    tile = np.zeros((3, SIZE, SIZE), np.uint8)
    (outputs,) = load_model(package, runtime="onnx")([tile])
    if description.task == "segmentation":
        label, score = semantic.decode(outputs, description, SIZE)
        kept = (label != NO_LABEL) & (score >= description.score_threshold)
        return np.where(kept, label.astype(int), -1)
    if description.task == "classification":
        return np.array(classification.decode(outputs, description)[0])
    grid = Grid(width=SIZE, height=SIZE, size=SIZE, overlap=0)
    found = decode_detections(outputs, description, grid.tile(0)).sorted_by_tile()
    rows = zip(found.label.tolist(), found.score.tolist(), found.box.tolist(), strict=True)
    return sorted((label, score, tuple(box)) for label, score, box in rows)


def is_right(known, package):
    found = answers(package)
    if known.label is not None:
        return np.array_equal(found, known.label)
    expected = sorted(known.objects)
    return (
        package.description.classes == (known.reported or known.classes)
        and len(found) == len(expected)
        and all(
            one[0] == other[0]
            and abs(one[1] - other[1]) < 2e-3
            and np.allclose(one[2], other[2], atol=0.02)
            for one, other in zip(found, expected, strict=True)
        )
    )


def outcome(known, folder):
    """Return `right`, `asked` (and then right), `refused`, or a description of the error."""
    try:
        package = make(known, folder, {})
    except PackageError as error:
        text = str(error)
        if "which can be read as" not in text:
            return f"refused: {text}"
        return _outcome_of_question(known, folder, text)
    return "right" if is_right(known, package) else f"wrong: {package.description.output_spec}"


def _outcome_of_question(known, folder, text):
    if "name the outputs" in text:
        unnamed = all(name.startswith("out") for name, _ in known.outputs)
        return "asked for names" if unnamed else f"wrong: there are names: {text}"
    named = {name: value for name, value in known.settings.items() if f"--set {name}=" in text}
    if not named or "or as" not in text:
        return f"wrong: a question without an answer: {text}"
    wanted = all(f"--set {name}={value}" in text for name, value in named.items())
    if not wanted and "more interpretations" not in text:
        return f"wrong: the question does not name the right reading {named}: {text}"
    try:
        package = make(known, folder, known.settings)
    except PackageError as error:
        return f"wrong: the answer {known.settings} is refused: {error}"
    return "asked" if is_right(known, package) else f"wrong after {known.settings}"


def run(kind, count, folder, seed):
    found = Counter()
    for number in range(count):
        rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), number])
        known = draw(rng, kind)
        place = folder / str(number)
        place.mkdir()
        result = outcome(known, place)
        shown = (known.kind, [(n, a.shape, str(a.dtype)) for n, a in known.outputs])
        assert not result.startswith("wrong"), (number, shown, known.metadata, result)
        if known.plain:
            assert result == "right", (number, shown, known.metadata, result)
        found[result.partition(":")[0]] += 1
    return found


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", list(KINDS))
def test_an_export_is_read_right_or_asked_about(kind, tmp_path):
    found = run(kind, DRAWS, tmp_path, SEED)

    print(kind, dict(found))  # noqa: T201 (pytest shows it with -rP)
    assert found["right"]
    assert found["refused"] <= DRAWS / 3
