"""`python -m local_cloud.demo [SCENE]`: one scene from the bucket to PostGIS, before your eyes.

Exits with 0 if the run succeeded, 1 if it failed, 2 if the scene is not there.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from local_cloud.cloud import ROOT, LocalCloud, closing_on_signals
from local_cloud.demo import results
from local_cloud.demo.follow import Ended, Follower, Progress
from local_cloud.demo.harbour import draw_harbour, write_harbour
from local_cloud.errors import LocalCloudError
from local_cloud.synthesis import synthesize

FOLDER = ROOT / "build" / "demo"

console = Console(highlight=False, soft_wrap=True)


def main(
    scene: Annotated[
        Path | None, typer.Argument(help="A scene for the model; by default a synthetic harbour.")
    ] = None,
) -> None:
    """Send a scene through the local cloud and show what becomes of it."""
    if scene is not None and not scene.is_file():
        console.print(f"there is no scene at {scene}")
        raise typer.Exit(2)
    began = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        with closing_on_signals():
            succeeded = run_demo(scene or make_harbour())
    except LocalCloudError as error:
        console.print(f"the demo cannot go on: {error}")
        console.print(f"logs, as far as there are any: {_path(FOLDER / 'logs')}")
        raise typer.Exit(1) from None
    console.print(f"\nAll of it took {time.monotonic() - began:.0f} s.")
    raise typer.Exit(0 if succeeded else 1)


def make_harbour() -> Path:
    """Draw the synthetic scene into the demo's folder."""
    path = FOLDER / "harbour.tif"
    harbour = draw_harbour()
    write_harbour(harbour, path)
    _, rows, cols = harbour.pixels.shape
    say(f"drew a harbour of {cols} x {rows} pixels with {len(harbour.boxes)} ships: {_path(path)}")
    return path


def run_demo(scene: Path) -> bool:
    """Start a cloud, drop the scene, follow its run, report; whether the run succeeded."""
    say("synthesizing the stack with the CDK")
    assembly = synthesize()
    say("starting moto, PostgreSQL with PostGIS, and the functions' runtime")
    with LocalCloud() as cloud:
        say("deploying the synthesized template")
        cloud.deploy(assembly)
        bucket, key = cloud.outputs["ScenesBucket"], f"incoming/{scene.name}"
        say(f"dropping the scene: s3://{bucket}/{key}")
        cloud.client("s3").upload_file(str(scene), bucket, key)
        try:
            ended = follow(Follower(cloud))
            if ended.status == "SUCCEEDED":
                report(cloud, ended, scene)
                return True
            report_failure(ended, scene)
        finally:
            shutil.copytree(cloud.logs, FOLDER / "logs", dirs_exist_ok=True)
    return False


def follow(follower: Follower) -> Ended:
    """Show each stage as it ends and, on a terminal, how many of its shards are done."""
    execution = follower.first_execution()
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        printed = 0

        def show(progress: Progress) -> None:
            nonlocal printed
            done = [stage for stage in progress.stages if stage.seconds is not None]
            for stage in done[printed:]:
                console.print(f"  {stage.name:<10} {stage.seconds:6.2f} s")
            printed = len(done)
            current = next((s.name for s in progress.stages if s.seconds is None), "")
            shards = progress.shards if current == "infer" else None
            bar.update(task, description=current, total=shards, completed=progress.receipts)

        return follower.follow(execution, show)


def report(cloud: LocalCloud, ended: Ended, scene: Path) -> None:
    """Print what landed in PostGIS and write the demo's files."""
    landed = results.read_postgis(cloud.dsn(), ended.run_id)
    summary = results.summarize(ended, landed, scene=scene)
    tiles = summary["tiles"]
    console.print(
        f"\nRun {ended.run_id} on {summary['backend']}: {tiles['planned']} tiles planned, "
        f"{tiles['succeeded']} succeeded, {tiles['failed']} failed, {tiles['skipped']} skipped"
    )
    console.print("\nIn PostGIS, table swath.detections:")
    for name, count in (landed.counts or {"no rows": 0}).items():
        console.print(f"  {name:<12} {count}")
    if landed.sample:
        name, score, polygon = landed.sample
        console.print(f"  the surest: {name}, score {score:.3f}, {polygon}")
    detections = results.fetch_detections(cloud, ended, FOLDER)
    results.draw(scene, detections, FOLDER / "preview.png")
    written = results.write_summary(summary, FOLDER), detections, FOLDER / "preview.png"
    console.print("\nWritten:\n" + "\n".join(f"  {_path(path)}" for path in written))


def report_failure(ended: Ended, scene: Path) -> None:
    """Print why the run failed and where its logs are."""
    summary = results.write_summary(results.summarize_failure(ended, scene=scene), FOLDER)
    console.print(f"\nRun {ended.run_id} {ended.status.lower()}: {ended.error}: {ended.cause}")
    console.print(f"\nWritten:\n  {_path(summary)}\n  {_path(FOLDER / 'logs')}")


def say(what: str) -> None:
    """One line about what happens next."""
    console.print(f"• {what}")


def _path(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    typer.run(main)
