"""Compare reading from disk with the decode limit, rasterio's windows and async-geotiff."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

from benchmarks.harness import compare, median, ratio, select_sides
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.scenes import Compression, SceneSpec, make_scenes
from benchmarks.texture import Kind
from benchmarks.virtual import VirtualScene
from benchmarks.worker import run_side, temporary_folder

KINDS: tuple[Kind, ...] = ("rgb8", "ms16")
COMPRESSIONS: tuple[Compression, ...] = ("deflate", "zstd")

_READERS = ("swath", "windows", "async_geotiff")


def run(*, quick: bool) -> Iterator[Result]:
    """Measure four kinds of scene, then the memory for a scene four times as high."""
    size = 2048 if quick else 8192
    specs = [SceneSpec(k, size, c) for k, c in itertools.product(KINDS, COMPRESSIONS)]
    make_scenes(specs)
    for spec in specs:
        name = f"{spec.kind}_{spec.compression}"
        print_line(f"  {name}, {size} x {size} px")
        sides = {
            side: partial(run_side, f"reading:{side}", path=str(spec.path))
            for side in ("limit", "written_limit", *_READERS)
        }
        rounds = compare(sides, rounds=7, quick=quick)
        pixels = {one[side]["pixels"] for one in rounds for side in _READERS}
        if len(pixels) != 1:
            raise RuntimeError(f"the readers read different numbers of pixels: {pixels}")
        against_limit = ratio(rounds, "limit", "swath")
        yield make_result(f"reading_{name}", against_limit, select_sides(rounds, "limit", "swath"))
        against_written = ratio(rounds, "written_limit", "swath")
        yield make_result(
            f"written_{name}", against_written, select_sides(rounds, "written_limit", "swath")
        )
        against_windows = ratio(rounds, "windows", "swath")
        yield make_result(
            f"windows_{name}", against_windows, select_sides(rounds, "windows", "swath")
        )
        against_async = ratio(rounds, "async_geotiff", "swath")
        yield make_result(
            f"async_geotiff_{name}", against_async, select_sides(rounds, "async_geotiff", "swath")
        )
    yield _memory(quick=quick)


def _memory(*, quick: bool) -> Result:
    """Compare the memory that reading adds for a scene and for one four times as high."""
    width = 2048 if quick else 8192
    print_line(f"  memory, {width} px wide, once and four times as high")
    with temporary_folder() as folder:
        sides = {}
        for times in (1, 4):
            path = VirtualScene(width, width * times).write(folder / f"{times}.tif")
            sides[f"{times}x"] = partial(run_side, "reading:swath", path=str(path))
        rounds = compare(sides, rounds=3, max_seconds=0, quick=quick)
    print_line(f"    it adds {median(rounds, '1x', 'added_mb'):.0f} MB")
    return make_result("reading_memory", ratio(rounds, "4x", "1x", "added_mb"), rounds)
