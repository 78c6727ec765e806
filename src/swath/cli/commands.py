"""All commands as one application, and what becomes of their errors."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from swath.cli import evaluate, invoke, local, model, registry, run, train, tune
from swath.cli.base import Command, RootGroup, examples
from swath.models import model_cache

_DETECT, _MAKE, _STACK = "Detect", "Make models", "Local cloud"
_REGISTRY = "SageMaker's registry"

app = typer.Typer(
    cls=RootGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command(
    "run",
    cls=Command,
    rich_help_panel=_DETECT,
    epilog=examples(
        "swath run scene.tif --model models/ships --out found",
        "swath run scene.tif --model models/ships --out found --format gpkg",
    ),
)(run.run)
app.command(
    "invoke",
    cls=Command,
    rich_help_panel=_DETECT,
    epilog=examples(
        "swath invoke port.tif --endpoint swath-serverless > ships.geojson",
        "swath invoke chips/a.png chips/b.png --endpoint swath-realtime --out found",
    ),
)(invoke.invoke)
app.command(
    "transform",
    cls=Command,
    rich_help_panel=_DETECT,
    epilog=examples("swath transform s3://data/model.tar.gz s3://data/chips/ s3://data/found/"),
)(registry.transform)
app.command(
    "train",
    cls=Command,
    rich_help_panel=_MAKE,
    epilog=examples(
        "swath train labels.json scenes/ --out trained --set epochs=60",
        "swath train s3://data/train.json s3://data/ports/ --on-sagemaker --hours 2",
    ),
)(train.train)
app.command(
    "tune",
    cls=Command,
    rich_help_panel=_MAKE,
    epilog=examples(
        "swath tune labels.json scenes/ --search search.toml --folds 3 --out tuned",
        "swath tune s3://data/l.json s3://data/ports/ --search s.toml --on-sagemaker",
    ),
)(tune.tune)
app.command(
    "evaluate",
    cls=Command,
    rich_help_panel=_MAKE,
    epilog=examples(
        "swath evaluate models/ships val.json scenes/ --out report",
        "swath evaluate new/ val.json scenes/ --out report --against models/ships",
    ),
)(evaluate.evaluate)
app.add_typer(model.app, name="model", rich_help_panel=_MAKE)
app.add_typer(local.app, name="local", rich_help_panel=_STACK)
for command, example in (
    (registry.register, "swath model register s3://data/model.tar.gz ships"),
    (registry.versions, "swath model versions ships"),
    (registry.approve, 'swath model approve $VERSION --reason "AP 0.40 on ports it never saw"'),
    (registry.reject, 'swath model reject $VERSION --reason "misses small boats"'),
):
    model.app.command(
        command.__name__, cls=Command, rich_help_panel=_REGISTRY, epilog=examples(example)
    )(command)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 (typer's way)
    if wanted:
        typer.echo(f"swath {version('swath')}")
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error, too.")
    ] = False,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print swath's version.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Find what your model detects in satellite scenes, on a laptop or on AWS."""
    del debug, show_version  # whoever prints errors looks at the one; the other has ended before
    context.with_resource(model_cache.temporary())
