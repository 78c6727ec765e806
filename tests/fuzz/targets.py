"""Targets of the fuzzer: each uses a changed input as swath would, and returns the result."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from swath.cli.error_lines import EXIT_BUG, describe_error
from swath.errors import PayloadError, SceneError
from swath.raster.empty_tiles import detect_empty_tiles
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.reader import read_tiles
from swath.raster.scene import Scene, open_scene
from swath.raster.tiles import Grid
from swath.sagemaker.server.images import open_image

TILE = 64
MAX_TILES = 40
"""Tiles read of a scene that claims to be larger: the first and the last ones."""
MAX_LINE = 4000
"""Characters of a refusal."""
_OVERLAP = 8


@dataclass(frozen=True)
class Outcome:
    """The result of one input. `kind` is result, refused, traceback, wrong or long."""

    kind: str
    text: str = ""


Target = Callable[[Path], Iterator[Outcome]]


def of_error(error: Exception) -> Outcome:
    """Return what an error means to the user: one line, or a traceback."""
    text, code = describe_error(error)
    if code == EXIT_BUG:
        return Outcome("traceback", text)
    if not text.isprintable() or len(text) > MAX_LINE:
        return Outcome("long", text[:MAX_LINE])
    return Outcome("refused", text)


def read_raster(path: Path) -> Iterator[Outcome]:
    """Plan and read a scene; then hold its pixels against rasterio's, if that can read it."""
    try:
        with open_scene(str(path)) as scene:
            footprint(scene.info, Georeferencer.from_info(scene.info))
            tiles = _tiles(scene)
    except Exception as error:  # noqa: BLE001 (whatever it is, is told)
        yield of_error(error)
        return
    yield _of_tiles(tiles)
    yield from _against_rasterio(path, tiles)


def _tiles(scene: Scene) -> list:
    info = scene.info
    grid, bands = Grid(info.width, info.height, TILE, _OVERLAP), [*range(1, info.count + 1)]
    detect_empty_tiles(scene, grid, bands)
    numbers = range(grid.count)
    if grid.count > MAX_TILES:
        numbers = [*range(MAX_TILES // 2), *range(grid.count - MAX_TILES // 2, grid.count)]
    read = read_tiles(scene, grid, bands[:8], numbers)
    return [
        (tile.tile.window, str(tile.error or ""), None if tile.error else np.array(tile.pixels))
        for tile in read
    ]


def _of_tiles(tiles: list) -> Outcome:
    errors = [error for _, error, _ in tiles if error]
    for error in errors:
        if not error.isprintable() or len(error) > MAX_LINE:
            return Outcome("long", error[:MAX_LINE])
    return Outcome("refused", errors[0]) if errors else Outcome("result")


def _against_rasterio(path: Path, tiles: list) -> Iterator[Outcome]:
    """Compare tiles with rasterio's pixels; nothing where rasterio refuses them, too."""
    with contextlib.suppress(Exception), rasterio.open(path) as source:
        bands = [*range(1, source.count + 1)][:8]
        for (x, y, width, height), _, pixels in tiles:
            if pixels is None:
                continue
            window = rasterio.windows.Window(x, y, width, height)
            other = source.read(bands, window=window)
            ours = pixels[..., :height, :width]
            if not np.array_equal(ours, other.astype(ours.dtype), equal_nan=ours.dtype.kind == "f"):
                yield Outcome("wrong", f"x {x}, y {y}, {width} x {height} px: not rasterio's")
                return


def read_image(path: Path) -> Iterator[Outcome]:
    """Open an image as an endpoint does; its kind is the seed's name."""
    kind = path.name.partition("-")[0]
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(shutil.copy(path, folder))

        def admit(size):
            size.check(1 << 24, ["red", "green", "blue"])
            if size.bytes > 1 << 28:
                raise SceneError("the image is too large for this endpoint")
            return nullcontext()

        try:
            with open_image(copied, kind, admit) as scene:
                yield _of_tiles(_tiles(scene))
        except Exception as error:  # noqa: BLE001
            yield of_error(error)


def read_labels(path: Path) -> Iterator[Outcome]:
    """Read labels of the scene beside them."""
    from swath.labels.read import read_collection  # noqa: PLC0415 (shapely and more)

    scene = next(path.parent.glob("*.tif"))
    try:
        read_collection(str(path), str(scene))
    except Exception as error:  # noqa: BLE001
        yield of_error(error)
    else:
        yield Outcome("result")


def use_package(path: Path) -> Iterator[Outcome]:
    """Load a package and apply it to an empty tile."""
    from swath.models.package import load_package  # noqa: PLC0415 (takes onnxruntime)
    from swath.models.runtimes.load import load_model  # noqa: PLC0415

    try:
        package = load_package(path)
        model = load_model(package)
        description = package.description
        shape = (1, len(description.bands), description.tile_size, description.tile_size)
        model(np.zeros(shape, np.float32))
    except Exception as error:  # noqa: BLE001
        yield of_error(error)
    else:
        yield Outcome("result")


def read_message(path: Path) -> Iterator[Outcome]:
    """Read a message as the step that it is for; its kind is the seed's name."""
    kind = path.name.partition("-")[0]
    try:
        _MESSAGES[kind](path)
    except Exception as error:  # noqa: BLE001
        yield of_error(error)
    else:
        yield Outcome("result")


def _messages() -> dict[str, Callable[[Path], object]]:
    from swath.messages import Receipt, RunRequest  # noqa: PLC0415
    from swath.messages.execution_events import RunFailure  # noqa: PLC0415
    from swath.pipeline.plan import read_plan  # noqa: PLC0415
    from swath.pipeline.start import ExecutionEnd  # noqa: PLC0415

    def ended(path):
        detail = _parsed(path)
        ExecutionEnd.from_event_detail(detail)
        failure = RunFailure.from_event_detail(detail)
        assert "\0" not in failure.cause + failure.error

    return {
        "request": lambda path: RunRequest.from_json(_parsed(path)),
        "receipt": lambda path: Receipt.from_json(_parsed(path)),
        "plan": lambda path: read_plan(str(path)).tiles(0),
        "ended": ended,
    }


def _parsed(path: Path) -> object:
    """Parse an event as Lambda or EventBridge does; raise PayloadError if it is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"not an event: {error}") from None


_MESSAGES = _messages()
TARGETS: dict[str, Target] = {
    "rasters": read_raster,
    "images": read_image,
    "labels": read_labels,
    "packages": use_package,
    "messages": read_message,
}
