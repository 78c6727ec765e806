"""Process one scene from the bucket to PostGIS: `python -m local_cloud.demo [SCENE]`.

The exit code is 0 if the run succeeded, 1 if it failed, and 2 if the scene does not exist.
"""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from local_cloud.cloud import ROOT, LocalCloud, exit_on_signals
from local_cloud.demo.harbour import Harbour, draw_harbour, write_harbour
from local_cloud.demo.results import (
    DatabaseRows,
    fetch_detections,
    mark_false_positives,
    read_boxes,
    read_postgis,
    summarize,
)
from local_cloud.demo.ship_matching import match_ships
from local_cloud.errors import LocalCloudError
from local_cloud.run_follower import RunFollower, RunProgress, RunResult
from local_cloud.synthesis import synthesize
from local_cloud.watch import INCOMING_PREFIX
from swath.cli.console import print_line, progress_bar
from swath.exports.preview import draw_preview
from swath.raster.scene import open_scene

OUTPUT_FOLDER = ROOT / "build" / "demo"
NEXT_STEPS = """
What next:
  open build/demo/preview.png; `swath preview` draws it for any run
  `make demo SCENE=/path/to.tif` processes a scene of yours with the bands B02, B03, B04, B08, B11
  `make local` runs the local cloud until Ctrl-C, for scenes and database queries of yours
  docs/model-package.md describes how to add a model, docs/deploying.md how to deploy to AWS"""
_SHIP_COUNTS = ("ships_found", "ships_drawn", "wrong_boxes")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    scene: Annotated[
        Path | None, typer.Argument(help="Scene for the model; by default a synthetic harbour.")
    ] = None,
) -> None:
    """Process a scene in the local cloud, and report its run."""
    if scene is not None and not scene.is_file():
        print_line(f"the scene {scene} does not exist")
        raise typer.Exit(2)
    start = time.monotonic()
    shutil.rmtree(OUTPUT_FOLDER, ignore_errors=True)
    OUTPUT_FOLDER.mkdir(parents=True)
    try:
        with exit_on_signals():
            succeeded = run_demo(scene)
    except LocalCloudError as error:
        print_line(f"the demo failed: {error}")
        raise typer.Exit(1) from None
    print_line(f"\nThe demo took {time.monotonic() - start:.0f} s. Its files in build/demo:")
    print_line("  " + "  ".join(sorted(path.name for path in OUTPUT_FOLDER.iterdir())))
    if succeeded:
        print_line(NEXT_STEPS)
    raise typer.Exit(0 if succeeded else 1)


def run_demo(user_scene: Path | None) -> bool:
    """Process a scene in a new local cloud; return whether its run succeeded."""
    with ThreadPoolExecutor(1) as executor:
        prepared = executor.submit(prepare_scene, user_scene)  # runs while the cloud starts
        print_step("synthesizing the stack with the CDK")
        assembly = synthesize()
        print_step("starting moto, PostgreSQL with PostGIS, and the functions' runtime")
        with LocalCloud() as cloud:
            print_step("deploying the synthesized template")
            cloud.deploy(assembly)
            try:
                return process_scene(cloud, *prepared.result())
            finally:
                shutil.copytree(cloud.logs, OUTPUT_FOLDER / "logs")


def prepare_scene(user_scene: Path | None) -> tuple[Path, Harbour | None]:
    """Return the user's scene, or a synthetic one with its ground truth."""
    if user_scene:
        return user_scene, None
    path, harbour = OUTPUT_FOLDER / "harbour.tif", draw_harbour()
    write_harbour(harbour, path)
    return path, harbour


def process_scene(cloud: LocalCloud, scene: Path, harbour: Harbour | None) -> bool:
    """Upload the scene, follow its run, and report; return whether the run succeeded."""
    bucket, key = cloud.outputs["ScenesBucket"], f"{INCOMING_PREFIX}{scene.name}"
    print_step(f"uploading the scene: s3://{bucket}/{key}")
    cloud.client("s3").upload_file(str(scene), bucket, key)
    result = follow_run(RunFollower(cloud))
    summary = summarize(result, scene.name)
    if result.status == "SUCCEEDED":
        rows = read_postgis(cloud.dsn(), result.run_id)
        detections = read_boxes(fetch_detections(cloud, result, OUTPUT_FOLDER))
        summary["rows_in_postgis"] = rows.counts
        if harbour:
            hits = match_ships(detections.boxes, harbour.boxes)
            detections = mark_false_positives(detections, hits)
            summary["ships_drawn"] = len(harbour.boxes)
            summary["ships_found"] = int(hits.sum())
            summary["wrong_boxes"] = int((~hits).sum())
        with open_scene(str(scene)) as opened:
            draw_preview(opened, detections, str(OUTPUT_FOLDER / "preview.png"))
        print_report(summary, rows)
    else:
        print_line(f"\nRun {result.run_id} {summary['status']}: {result.error}: {result.cause}")
    (OUTPUT_FOLDER / "summary.json").write_text(
        json.dumps(summary, indent=2) + "\n", encoding="utf-8"
    )
    return result.status == "SUCCEEDED"


def follow_run(follower: RunFollower) -> RunResult:
    """Print each completed stage and, on a terminal, the number of completed shards."""
    execution = follower.wait_for_execution()
    printed_count = 0
    with progress_bar("shards") as report_progress:

        def show(progress: RunProgress) -> None:
            nonlocal printed_count
            completed = [stage for stage in progress.stages if stage.seconds is not None]
            for stage in completed[printed_count:]:
                print_line(f"  {stage.name:<10} {stage.seconds:6.2f} s")
            printed_count = len(completed)
            current = next((s.name for s in progress.stages if s.seconds is None), "")
            shards = progress.shards if current == "infer" else None
            report_progress(current, progress.receipts, shards)

        return follower.follow(execution, show)


def print_report(summary: dict[str, Any], rows: DatabaseRows) -> None:
    """Print the result of the run and its rows in PostGIS."""
    tiles = summary["tiles"]
    print_line(
        f"\nRun {summary['run_id']} on {summary['backend']}: {tiles['planned']} tiles planned, "
        f"{tiles['succeeded']} succeeded, {tiles['failed']} failed, {tiles['skipped']} skipped"
    )
    for warning in summary["warnings"]:
        print_line(f"warning: {warning}")
    print_line("\nIn PostGIS, view swath.detections:")
    for name, count in (rows.counts or {"no rows": 0}).items():
        print_line(f"  {name:<12} {count}")
    if rows.sample:
        name, score, polygon = rows.sample
        print_line(f"  best detection: {name}, score {score:.3f}, {polygon}")
    if "ships_drawn" in summary:
        detected, drawn, wrong = (summary[name] for name in _SHIP_COUNTS)
        print_line(
            f"\n{detected} of the {drawn} ships in the harbour were detected. "
            f"{wrong} boxes are false positives, which are orange in preview.png."
        )


def print_step(step: str) -> None:
    """Print one line about the next step."""
    print_line(f"• {step}")


if __name__ == "__main__":
    app()
