"""Expected rows of each scene, from a run without faults."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import shapely

from local_cloud.demo.harbour import draw_harbour, write_harbour
from swath.pipeline.local import run_local
from tests.integration.chaos.scenarios import SCENES
from tests.integration.test_pipeline import SHIPS

Rows = list[tuple[object, ...]]


def make_scenes(folder: Path) -> list[tuple[Path, Rows]]:
    """Draw the scenes; return each with the rows that `swath run` writes for it."""
    made = []
    for seed in range(SCENES):
        path = folder / f"{seed}.tif"
        write_harbour(draw_harbour(seed, width=640, height=512), path)
        run_local(str(path), str(SHIPS), folder / f"found-{seed}")
        table = pq.read_table(folder / f"found-{seed}" / "detections.parquet")
        columns = (table.column(name).to_pylist() for name in ("class", "score", "geometry"))
        made.append((path, comparable(zip(*columns, strict=True))))
    return made


def comparable(found: Iterable[tuple[str, float, bytes]]) -> Rows:
    """Return detections in an order of their own, without the last bits of what was converted."""
    return sorted(
        (label, round(score, 4), *(round(v, 6) for v in shapely.from_wkb(bytes(wkb)).bounds))
        for label, score, wkb in found
    )
