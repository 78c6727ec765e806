"""Define `swath model …`, whose commands make, check, show and publish model packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from swath.cli.base import Command, Group, examples
from swath.cli.console import print_error, print_line, print_table
from swath.cli.error_lines import EXIT_FAILED
from swath.cli.options import inputs, jobs, limits, packages
from swath.cli.remote import split_list
from swath.errors import InputError

if TYPE_CHECKING:
    from swath.labels.collection import Collection
    from swath.packaging.check import CheckReport

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Make, check, show, optimize and publish model packages."
)


@app.command(
    "init",
    cls=Command,
    epilog=examples("swath model init m.onnx --from ultralytics --bands red,green,blue --out m"),
)
def init(
    weights: packages.Weights,
    *,
    library: packages.LibraryOption,
    bands: packages.Bands,
    out: inputs.Out,
    name: packages.ModelName = None,
    scaling: packages.Scaling = None,
    classes: inputs.Classes = None,
    tile_size: packages.TileSize = None,
    overlap: packages.Overlap = None,
    unit: packages.Unit = None,
    scene: inputs.OptionalScene = None,
    architecture: packages.Architecture = None,
    settings: jobs.Assignments = None,
) -> None:
    """Make a model package from weights that a library exported.

    The package contains the statistics of the scenes given by --scene. A run warns about a scene
    with other statistics.
    """
    from swath.packaging.init_package import InitOptions, init_package
    from swath.packaging.value_scaling import parse_scaling

    result = init_package(
        weights,
        out,
        InitOptions(
            library=library,
            name=name or out.name,
            bands=split_list(bands) or (),
            scaling=parse_scaling(scaling) if scaling else None,
            classes=split_list(classes),
            tile_size=tile_size,
            overlap=overlap,
            units=tuple(unit or ()),
            scenes=tuple(scene or ()),
            architecture=architecture,
            hyperparameters=_assignments(settings or []),
        ),
    )
    _print_trials(result.report)
    for line in result.assumptions:
        print_line(f"assumed: {line}")
    print_line(f"{out}: written; show it with `swath model show {out}`")


@app.command(
    "check", cls=Command, epilog=examples("swath model check models/ships --scene scene.tif")
)
def check(
    model: inputs.Model,
    *,
    scene: inputs.OptionalScene = None,
    tiles: limits.Tiles = 4,
    max_difference: limits.MaxDifference = None,
) -> None:
    """Run all weights of a model package, and compare their outputs.

    Without --scene, the inputs are a black tile and a tile of noise. The exit code is 1 if the
    outputs differ or a check fails.
    """
    from swath.packaging.check import check_package

    report = check_package(model, images=scene or [], tiles=tiles, tolerance=max_difference)
    _print_trials(report)
    if not report.passed:
        for fault in report.failures[1:]:
            print_line(f"also failed: {fault}")
        print_error(report.failures[0])
        raise typer.Exit(EXIT_FAILED)


@app.command("show", cls=Command, epilog=examples("swath model show models/ships"))
def show(model: inputs.Model) -> None:
    """Show the description of a model package."""
    from swath.packaging.summary import summarize_package

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    group = ""
    for fact in summarize_package(model):
        shown = "" if fact.group == group else fact.group
        table.add_row(shown, Text(fact.name), Text(fact.value))
        group = fact.group
    print_table(table)


@app.command(
    "statistics",
    cls=Command,
    epilog=examples("swath model statistics models/ships --scene a.tif --scene b.tif"),
)
def statistics(
    folder: packages.ModelFolder, *, scene: inputs.SceneOption, unit: packages.Unit = None
) -> None:
    """Add the statistics of training scenes to a model package.

    A run warns about a scene with other statistics.
    """
    from swath.models.package import describe_package
    from swath.packaging.statistics import add_statistics, parse_units

    bands = describe_package(folder).description.bands
    units = parse_units(unit, len(bands)) if unit else None
    expected = add_statistics(folder, scene, units=units)
    print_line(
        f"{folder}: statistics of {expected.scenes} scenes and {len(bands)} bands",
    )


@app.command(
    "optimize",
    cls=Command,
    epilog=examples("swath model optimize models/ships --precision int8 --scene a.tif --out small"),
)
def optimize(
    model: inputs.Model,
    *,
    out: inputs.Out,
    precision: packages.PrecisionOption,
    scene: inputs.SceneOption,
    max_loss: limits.MaxLoss = 0.02,
    tiles: limits.Tiles = 32,
    val_labels: inputs.ValLabels = None,
    val_scenes: inputs.ValScenes = None,
) -> None:
    """Make a smaller model package, unless it loses too much accuracy.

    The scenes calibrate the smaller weights. With --val-labels, the loss is measured as AP or
    mIoU. Without them, it is the fraction of the results on these scenes that change.
    """
    from swath.packaging.optimize import optimize_package

    result = optimize_package(
        model,
        out,
        precision,
        scenes=scene,
        tolerance=max_loss,
        tiles=tiles,
        labels=_read_validation_labels(model, val_labels, val_scenes),
    )
    print_line(
        f"{result.agreement.share:.1%} agreement on {result.tiles} tiles; "
        f"{result.bytes_before / 1e6:.2f} to {result.bytes_after / 1e6:.2f} MB; "
        f"{result.milliseconds_before:.1f} to {result.milliseconds_after:.1f} ms a tile here",
    )
    if result.accuracy_before is not None and result.accuracy_after is not None:
        print_line(f"AP or mIoU {result.accuracy_before:.3f} to {result.accuracy_after:.3f}")
    print_line(str(out))


@app.command(
    "publish",
    cls=Command,
    epilog=examples(
        "swath model publish trained/package --to models",
        "swath model publish new/ --to models --val-labels v.json --val-scenes val/",
    ),
)
def publish(
    model: inputs.Model,
    *,
    to: packages.PublishFolders,
    val_labels: inputs.ValLabels = None,
    val_scenes: inputs.ValScenes = None,
    evaluation: packages.Evaluation = None,
    tolerance: limits.Tolerance = 0.0,
    gate: limits.Gate = True,
) -> None:
    """Publish a model package, unless it scores below the package in use.

    The package in use is the one of the same name in a folder of --to.
    """
    from swath.packaging.publish import Gate, publish_package

    result = publish_package(
        model,
        to,
        Gate(
            labels=_read_validation_labels(model, val_labels, val_scenes),
            evaluation=evaluation,
            tolerance=tolerance,
            is_required=gate,
        ),
    )
    published = (f"{result.name} {result.digest[:12]}: {folder}" for folder in result.destinations)
    for line in (*result.gates, *result.replaced, *published):
        print_line(line)


def _print_trials(report: CheckReport) -> None:
    """Print a row for each trial of a check."""
    table = Table(box=None, pad_edge=False)
    for column in ("weights", "run by", "batch", "ms a tile", "difference", ""):
        table.add_column(column)
    for trial in report.trials:
        table.add_row(
            Text(trial.weights),
            trial.runtime,
            trial.batch,
            "" if trial.milliseconds is None else f"{trial.milliseconds:.1f}",
            "" if trial.difference is None else f"{trial.difference:.1e}",
            "failed" if trial.failure else "passed",
        )
    print_table(table)
    print_line(
        f"{report.name} {report.digest[:12]}: {report.tiles} tiles each, checksums verified, "
        f"differences up to {report.tolerance:g} allowed",
    )
    for warning in report.warnings:
        print_line(f"warning: {warning}")


def _assignments(texts: list[str]) -> dict[str, Any]:
    from swath.storage.encoding import parse_json

    assignments = {}
    for setting in texts:
        name, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting} is not an assignment; write --set name=value")
        try:
            assignments[name] = parse_json(value)
        except ValueError:
            assignments[name] = value
    return assignments


def _read_validation_labels(
    model: str, labels: str | None, scenes: str | None
) -> Collection | None:
    if labels is None and scenes is None:
        return None
    if scenes is None:
        raise InputError("--val-labels needs --val-scenes, the folder of their scenes")
    from swath.labels.read import read_collection
    from swath.models.package import describe_package

    return read_collection(labels, scenes, bands=describe_package(model).description.bands)
