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

from local_cloud.cloud import ROOT, LocalCloud, closing_on_signals
from local_cloud.demo.follow import Ended, Follower, Progress
from local_cloud.demo.harbour import Harbour, draw_harbour, write_harbour
from local_cloud.demo.preview import draw_preview
from local_cloud.demo.results import (
    Landed,
    fetch_detections,
    read_found,
    read_postgis,
    summarize,
)
from local_cloud.demo.truth import find_hits
from local_cloud.errors import LocalCloudError
from local_cloud.synthesis import synthesize
from local_cloud.watch import INCOMING
from swath.cli.console import print_line, progress_bar

FOLDER = ROOT / "build" / "demo"
NEXT = """
What next:
  look at build/demo/preview.png
  `make demo SCENE=/path/to.tif` takes a scene of yours with the bands B02, B03, B04, B08 and B11
  `make local` keeps the local cloud running, to drop scenes into and to ask its database
  docs/model-package.md puts a model of yours in, docs/deploying.md deploys to AWS"""
_JUDGED = ("ships_found", "ships_drawn", "wrong_boxes")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    scene: Annotated[
        Path | None, typer.Argument(help="A scene for the model; by default a synthetic harbour.")
    ] = None,
) -> None:
    """Send a scene through the local cloud and show what becomes of it."""
    if scene is not None and not scene.is_file():
        print_line(f"there is no scene at {scene}")
        raise typer.Exit(2)
    began = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    try:
        with closing_on_signals():
            succeeded = run_demo(scene)
    except LocalCloudError as error:
        print_line(f"the demo cannot go on: {error}")
        raise typer.Exit(1) from None
    print_line(f"\nAll of it took {time.monotonic() - began:.0f} s; see build/demo:")
    print_line("  " + "  ".join(sorted(path.name for path in FOLDER.iterdir())))
    if succeeded:
        print_line(NEXT)
    raise typer.Exit(0 if succeeded else 1)


def run_demo(own: Path | None) -> bool:
    """Process a scene in a new local cloud; return whether its run succeeded."""
    with ThreadPoolExecutor(1) as artist:
        preparing = artist.submit(prepare, own)  # runs while the cloud starts
        say("synthesizing the stack with the CDK")
        assembly = synthesize()
        say("starting moto, PostgreSQL with PostGIS, and the functions' runtime")
        with LocalCloud() as cloud:
            say("deploying the synthesized template")
            cloud.deploy(assembly)
            try:
                return send(cloud, *preparing.result())
            finally:
                shutil.copytree(cloud.logs, FOLDER / "logs")


def prepare(own: Path | None) -> tuple[Path, Harbour | None]:
    """Return the user's scene, or a synthetic one with its ground truth."""
    if own:
        return own, None
    path, harbour = FOLDER / "harbour.tif", draw_harbour()
    write_harbour(harbour, path)
    return path, harbour


def send(cloud: LocalCloud, scene: Path, harbour: Harbour | None) -> bool:
    """Upload the scene, follow its run, and report; return whether the run succeeded."""
    bucket, key = cloud.outputs["ScenesBucket"], f"{INCOMING}{scene.name}"
    say(f"dropping the scene: s3://{bucket}/{key}")
    cloud.client("s3").upload_file(str(scene), bucket, key)
    ended = follow(Follower(cloud))
    summary = summarize(ended, scene.name)
    if ended.status == "SUCCEEDED":
        landed = read_postgis(cloud.dsn(), ended.run_id)
        found = read_found(fetch_detections(cloud, ended, FOLDER))
        summary["rows_in_postgis"] = landed.counts
        if harbour:
            hits = find_hits(found.boxes, harbour.boxes)
            found = found.judged(hits)
            summary["ships_drawn"] = len(harbour.boxes)
            summary["ships_found"] = int(hits.sum())
            summary["wrong_boxes"] = int((~hits).sum())
        draw_preview(str(scene), found, FOLDER / "preview.png")
        report(summary, landed)
    else:
        print_line(f"\nRun {ended.run_id} {summary['status']}: {ended.error}: {ended.cause}")
    (FOLDER / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return ended.status == "SUCCEEDED"


def follow(follower: Follower) -> Ended:
    """Print each completed stage and, on a terminal, the number of completed shards."""
    execution = follower.first_execution()
    printed = 0
    with progress_bar("shards") as report_progress:

        def show(progress: Progress) -> None:
            nonlocal printed
            done = [stage for stage in progress.stages if stage.seconds is not None]
            for stage in done[printed:]:
                print_line(f"  {stage.name:<10} {stage.seconds:6.2f} s")
            printed = len(done)
            current = next((s.name for s in progress.stages if s.seconds is None), "")
            shards = progress.shards if current == "infer" else None
            report_progress(current, progress.receipts, shards)

        return follower.follow(execution, show)


def report(summary: dict[str, Any], landed: Landed) -> None:
    """Print the result of the run and its rows in PostGIS."""
    tiles = summary["tiles"]
    print_line(
        f"\nRun {summary['run_id']} on {summary['backend']}: {tiles['planned']} tiles planned, "
        f"{tiles['succeeded']} succeeded, {tiles['failed']} failed, {tiles['skipped']} skipped"
    )
    for warning in summary["warnings"]:
        print_line(f"warning: {warning}")
    print_line("\nIn PostGIS, table swath.detections:")
    for name, count in (landed.counts or {"no rows": 0}).items():
        print_line(f"  {name:<12} {count}")
    if landed.sample:
        name, score, polygon = landed.sample
        print_line(f"  the surest: {name}, score {score:.3f}, {polygon}")
    if "ships_drawn" in summary:
        found, drawn, wrong = (summary[name] for name in _JUDGED)
        print_line(
            f"\nOf the {drawn} ships in the harbour, {found} were found. "
            f"{wrong} boxes are wrong: no ship is there. They are orange in preview.png."
        )


def say(what: str) -> None:
    """Print one line about the next step."""
    print_line(f"• {what}")


if __name__ == "__main__":
    app()
