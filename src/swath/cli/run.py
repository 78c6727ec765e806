"""Define `swath run`, which runs a model on a scene on this machine."""

from __future__ import annotations

from msgspec import UNSET

from swath.cli.console import print_line, print_warning, progress_bar
from swath.cli.options import inputs, limits
from swath.messages import RunOptions


def run(
    scene: inputs.SceneFiles,
    *,
    model: inputs.ModelOption,
    out: inputs.Out,
    source: inputs.Sources = None,
    formats: inputs.OutputFormats = None,
    database: inputs.Database = None,
    score_threshold: limits.ScoreThreshold = None,
    tolerated_failures: limits.ToleratedFailures = 0.0,
    acquired_at: inputs.AcquiredAt = None,
) -> None:
    """Run a model on a scene; write detections.parquet and summary.json."""
    from swath.pipeline.local import run_local
    from swath.storage import file_name
    from swath.storage.output_folder import DETECTIONS, VECTOR_FILES

    name = file_name(scene[0]) if len(scene) == 1 else f"{len(scene)} files"
    vector_formats = [form for form in VECTOR_FILES if form in (formats or ())]
    with progress_bar("tiles") as update:
        report = run_local(
            scene,
            model,
            out,
            sources=source or (),
            formats=vector_formats,
            database=database,
            options=RunOptions(
                tolerated_failures=tolerated_failures,
                score_threshold=UNSET if score_threshold is None else score_threshold,
            ),
            acquired_at=acquired_at,
            progress=lambda done, total: update(name, done, total),
        )
    for warning in report.warnings:
        print_warning(warning)
    tiles = report.tiles
    files = [DETECTIONS, *(VECTOR_FILES[form] for form in vector_formats)]
    print_line(
        f"{report.detections} detections in {tiles.planned} tiles "
        f"({tiles.skipped} skipped, {tiles.failed} failed): "
        f"{', '.join(str(out / name) for name in files)}"
    )
