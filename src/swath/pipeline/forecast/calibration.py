"""Measure how fast this machine runs a model on a scene, and keep the result for later scenes."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from swath import storage
from swath.detection.engine import Inference
from swath.errors import PayloadError
from swath.messages import Payload
from swath.models.loaded_model import LoadedModel
from swath.pipeline.forecast.reading_speed import (
    DEFAULT_COMPRESSION,
    ReadingSpeed,
    measure_reading,
    reading_seconds,
)
from swath.pipeline.forecast.start_time import measure_start
from swath.raster.radiometry.comparison import compare
from swath.raster.radiometry.sampling import Samples
from swath.raster.reader.read_sizes import read_sizes
from swath.resource_limits import available_cpus

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.pipeline.scene_plan import ScenePlan
    from swath.raster.reader.read_sizes import ReadSize
    from swath.raster.scene import Scene

MAX_CALIBRATION_TILES = 128
"""Maximum number of tiles of a calibration."""
MAX_CALIBRATION_SECONDS = 20.0
"""Time in s after which a calibration ends, once it has a few batches."""
_MIN_MARKS = 3
"""Number of measured times, the start included, before a calibration may end early."""


class Calibration(Payload, frozen=True, kw_only=True):
    """Speed of a model on one machine."""

    digest: str
    """Digest of the model package."""
    machine: str
    """Name and CPUs of the machine, which distinguish it from others with the same home folder."""
    device: str
    """Device that ran the model: `cpu`, or NVIDIA's name of the GPU."""
    cpus: int
    """Number of CPUs that the process could use."""
    tiles: int
    """Number of tiles that were inferred."""
    workers: int
    """Number of tiles that the model computes at once."""
    seconds_per_tile: float
    """Time in s from one tile to the next, without reading its pixels. On a GPU, which computes
    while the CPU reads, the time of reading is included if that is longer."""
    start_seconds: float
    """Time in s of a run of `workers` tiles in a process of its own, without its plan."""
    reading: dict[str, ReadingSpeed]
    """Speed of reading pixels, by compression."""
    scene: str
    """Address of the scene whose tiles were inferred."""
    measured_at: str
    """Time of the measurement, ISO 8601 UTC."""

    def run_seconds(self, shard_tiles: Sequence[int], sizes: Iterable[ReadSize]) -> float:
        """Return the time in s of a run on this machine, without its plan.

        Args:
            shard_tiles: Number of tiles to infer of each shard; the shards run one after the other.
            sizes: Bytes that the shards read of each file.
        """
        # A shard waits for its last round of tiles, even if that leaves workers idle.
        rounds = sum(ceil(tiles / self.workers) for tiles in shard_tiles)
        # The start includes a round.
        computing = max(0, rounds - 1) * self.workers * self.seconds_per_tile
        return self.start_seconds + self.tile_seconds(
            computing, reading_seconds(self.reading, sizes) / self.cpus
        )

    def tile_seconds(self, computing: float, reading: float) -> float:
        """Return the time in s of computing tiles and reading their pixels.

        Args:
            computing: Time in s of computing the tiles alone.
            reading: Time in s of reading them alone.
        """
        return computing + reading if self.device == "cpu" else max(computing, reading)


@dataclass(frozen=True, slots=True)
class CalibrationRun:
    """Result of a calibration: the speed, and the warnings that the tiles gave."""

    calibration: Calibration
    warnings: list[str]


def calibrate(
    scene: Scene, plan: ScenePlan, model: str, *, max_tiles: int = MAX_CALIBRATION_TILES
) -> CalibrationRun:
    """Run a model on some tiles in the middle of a scene, and measure its speed.

    Args:
        scene: Open scene, which no other thread uses.
        plan: Tiles of the scene.
        model: Address of the model package.
        max_tiles: Maximum number of tiles to infer.

    Raises:
        PackageError: The model package cannot be used.
        SceneError: A file of the scene is damaged.
        ModelTimeoutError: The model did not answer in time.
    """
    loaded = LoadedModel.from_uri(model)
    device = loaded.runtime.engine.device if loaded.runtime.engine else "cpu"
    numbers, reading = choose_tiles(plan, max_tiles), measure_reading()
    inference = Inference(
        scene=scene,
        bands=plan.bands,
        grid=plan.grid,
        description=loaded.description,
        model=loaded.runtime,
    )
    seconds, tiles = _measure_rate(inference, numbers)
    if device == "cpu":
        seconds -= _reading_per_tile(scene, plan, numbers, reading)
    calibration = Calibration(
        digest=loaded.package.digest,
        machine=machine_name(),
        device=device,
        cpus=available_cpus(),
        tiles=tiles,
        workers=loaded.runtime.workers,
        seconds_per_tile=max(0.0, seconds),
        start_seconds=round(_measure_start(loaded, scene, plan, numbers), 3),
        reading=reading,
        scene=scene.info.uri,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return CalibrationRun(calibration, _warnings(inference))


def choose_tiles(plan: ScenePlan, count: int) -> Ints:
    """Return the numbers, sorted, of consecutive tiles with a valid pixel in a scene's middle.

    Consecutive tiles share blocks, as the tiles of a shard do.

    Args:
        plan: Tiles of the scene.
        count: Maximum number of tiles.
    """
    numbers = plan.tiles_to_infer()
    start = max(0, (len(numbers) - count) // 2)
    return numbers[start : start + count]


def machine_name() -> str:
    """Return the name and the number of CPUs of this machine."""
    return f"{platform.node()}, {platform.machine()}, {os.cpu_count()} CPUs"


def calibration_file(folder: Path, digest: str) -> Path:
    """Return the file of a package's calibration on this machine."""
    return folder / "calibrations" / f"{digest[:32]}.json"


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Keep a calibration for later scenes, in place of an earlier one of the same package."""
    path = calibration_file(folder, calibration.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_json(str(path), calibration.to_json())


def read_calibration(folder: Path, digest: str) -> Calibration | None:
    """Return the calibration of a package on this machine; None if there is no valid one."""
    try:
        content = storage.read_json(str(calibration_file(folder, digest)))
        calibration = Calibration.from_json(content)
    except (OSError, ValueError, PayloadError):
        return None
    is_ours = (calibration.digest, calibration.machine) == (digest, machine_name())
    is_valid = calibration.cpus == available_cpus() and DEFAULT_COMPRESSION in calibration.reading
    return calibration if is_ours and is_valid else None


def _measure_rate(inference: Inference, numbers: Sequence[int] | Ints) -> tuple[float, int]:
    """Return the seconds for each inferred tile, and the number of inferred tiles.

    The first batches include the start of threads and of the runtime, so they do not count if there
    are enough others.
    """
    started = time.perf_counter()
    marks = [(0, 0.0)]
    for _ in inference.run([int(number) for number in numbers]):
        counts, elapsed = inference.tiles, time.perf_counter() - started
        marks.append((counts.succeeded + counts.failed, elapsed))
        if elapsed > MAX_CALIBRATION_SECONDS and len(marks) > _MIN_MARKS:
            break
    last_tiles, last_seconds = marks[-1]
    if not last_tiles:
        return 0.0, 0
    first_tiles, first_seconds = marks[1] if last_tiles >= 2 * marks[1][0] else marks[0]
    return (last_seconds - first_seconds) / (last_tiles - first_tiles), last_tiles


def _measure_start(loaded: LoadedModel, scene: Scene, plan: ScenePlan, numbers: Ints) -> float:
    """Return the time in s of a run of copies of a tile.

    Raises:
        PackageError: The run failed.
        SceneError: The tile cannot be read.
    """
    tile = plan.grid.tile(int(numbers[len(numbers) // 2]))
    pixels, _ = scene.read(tile.window, plan.bands)
    return measure_start(loaded.uri, loaded.description, pixels, tiles=loaded.runtime.workers)


def _reading_per_tile(
    scene: Scene, plan: ScenePlan, numbers: Ints, speeds: Mapping[str, ReadingSpeed]
) -> float:
    """Return the time in s of reading a tile with all CPUs."""
    if not len(numbers):
        return 0.0
    sizes = read_sizes(scene, plan.bands, [plan.grid.windows(numbers)])
    return reading_seconds(speeds, sizes) / available_cpus() / len(numbers)


def _warnings(inference: Inference) -> list[str]:
    """Return the warnings that the inferred tiles give, as a run's merge would."""
    description = inference.description
    if not description.expected:
        return inference.warnings
    samples = Samples.concatenate(inference.samples, len(description.bands))
    uri, stride = inference.scene.info.uri, inference.sample_grid.stride
    compared = compare(samples, description.expected, description.bands, stride=stride, scene=uri)
    return [*inference.warnings, *compared]
