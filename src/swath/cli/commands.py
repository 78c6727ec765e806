"""Define the application `swath` with all its commands, options and examples."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from swath.cli import (
    drop,
    evaluate,
    export,
    invoke,
    local,
    model,
    plan,
    preview,
    registry,
    run,
    train,
    tune,
)
from swath.cli.base import Command, RootGroup, examples
from swath.models import model_cache

_DETECTION_PANEL, _MODELS_PANEL, _LOCAL_CLOUD_PANEL = "Detection", "Models", "Local cloud"
_REGISTRY_PANEL = "SageMaker model registry"

app = typer.Typer(
    cls=RootGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command(
    "run",
    cls=Command,
    rich_help_panel=_DETECTION_PANEL,
    epilog=examples(
        "swath run scene.tif --model models/ships --out results",
        "swath run scene.tif --model models/ships --out results --format gpkg",
    ),
)(run.run)
app.command(
    "plan",
    cls=Command,
    rich_help_panel=_DETECTION_PANEL,
    epilog=examples(
        "swath plan scene.tif --model models/ships --calibrate",
        "swath plan s3://scenes/incoming/x.tif --model ships --stack swath --json",
    ),
)(plan.plan)
app.command(
    "drop",
    cls=Command,
    rich_help_panel=_DETECTION_PANEL,
    epilog=examples(
        "swath drop scene.tif --model ships --follow",
        "swath drop B02.tif B03.tif B04.tif --acquired-at 2026-11-28T10:30:00Z",
        "swath drop item.json --stack swath",
    ),
)(drop.drop)
app.command(
    "export",
    cls=Command,
    rich_help_panel=_DETECTION_PANEL,
    epilog=examples(
        "swath export results --out-file ships.gpkg --class ship --min-score 0.6",
        "swath export --database $URL --out-file port.fgb --bbox 128.9,35,129.2,35.2",
    ),
)(export.export)
app.command(
    "preview",
    cls=Command,
    rich_help_panel=_DETECTION_PANEL,
    epilog=examples(
        "swath preview results --out-file ships.png",
        "swath preview results --scene-uri scene.tif --out-file ships.png",
    ),
)(preview.preview)
app.command(
    "invoke",
    cls=Command,
    rich_help_panel=_DETECTION_PANEL,
    epilog=examples(
        "swath invoke port.tif --endpoint swath-serverless > ships.geojson",
        "swath invoke chips/a.png chips/b.png --endpoint swath-realtime --out results",
    ),
)(invoke.invoke)
app.command(
    "transform",
    cls=Command,
    rich_help_panel=_DETECTION_PANEL,
    epilog=examples("swath transform s3://data/model.tar.gz s3://data/chips/ s3://data/results/"),
)(registry.transform)
app.command(
    "train",
    cls=Command,
    rich_help_panel=_MODELS_PANEL,
    epilog=examples(
        "swath train labels.json scenes/ --out trained --set epochs=60",
        "swath train s3://data/train.json s3://data/ports/ --on-sagemaker --hours 2",
    ),
)(train.train)
app.command(
    "tune",
    cls=Command,
    rich_help_panel=_MODELS_PANEL,
    epilog=examples(
        "swath tune labels.json scenes/ --search search.toml --folds 3 --out tuned",
        "swath tune s3://data/l.json s3://data/ports/ --search s.toml --on-sagemaker",
    ),
)(tune.tune)
app.command(
    "evaluate",
    cls=Command,
    rich_help_panel=_MODELS_PANEL,
    epilog=examples(
        "swath evaluate models/ships val.json scenes/ --out report",
        "swath evaluate new/ val.json scenes/ --out report --against models/ships",
    ),
)(evaluate.evaluate)
app.add_typer(model.app, name="model", rich_help_panel=_MODELS_PANEL)
app.add_typer(local.app, name="local", rich_help_panel=_LOCAL_CLOUD_PANEL)
for command, example in (
    (registry.register, "swath model register s3://data/model.tar.gz ships"),
    (registry.versions, "swath model versions ships"),
    (registry.approve, 'swath model approve $VERSION --reason "AP 0.40 on unseen ports"'),
    (registry.reject, 'swath model reject $VERSION --reason "misses small boats"'),
):
    model.app.command(
        command.__name__, cls=Command, rich_help_panel=_REGISTRY_PANEL, epilog=examples(example)
    )(command)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 (typer calls it so)
    if wanted:
        typer.echo(f"swath {version('swath')}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Also print the traceback of an error.")
    ] = False,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version of swath, and exit.",
            is_eager=True,
            callback=_show_version,
        ),
    ] = False,
) -> None:
    """Run your model on satellite scenes, on a laptop or on AWS, with the same result."""
    del debug, show_version  # RootGroup reads `debug`; the callback of `show_version` has exited
    context.with_resource(model_cache.temporary())
