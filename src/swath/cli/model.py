"""`swath model`: model packages made, tried, shown, made smaller and published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swath.cli.numbers import finite
from swath.errors import InputError

if TYPE_CHECKING:
    from swath.authoring.check import CheckReport
    from swath.labels.collection import Collection

app = typer.Typer(no_args_is_help=True, help="Make, try, show, shrink and publish model packages.")

_FAILED = 1
Library = Literal["ultralytics", "torchvision", "transformers", "smp", "swath"]
Package = Annotated[
    str, typer.Argument(help="The model package: a folder, a model.tar.gz or an S3 URI of one.")
]
Labels = Annotated[
    str | None, typer.Option(help="Labels of scenes: COCO, GeoJSON or SpaceNet's layout.")
]
Unit = Annotated[
    list[str] | None,
    typer.Option(
        help="The unit of the numbers that the network was trained on, as in "
        "reflectance,0.0001,-0.1 (quantity, scale, offset): one for all bands, or one for each."
    ),
]
Images = Annotated[str | None, typer.Option(help="The folder or S3 prefix of the labelled scenes.")]


# What works is imported where it is used: `--help` answers at once.
@app.command("init")
def init(
    weights: Annotated[
        list[Path], typer.Argument(help="One network in up to three formats: .onnx, .pt, .pt2.")
    ],
    *,
    library: Annotated[
        Library, typer.Option("--from", help="Whose conventions its outputs follow.")
    ],
    bands: Annotated[
        str, typer.Option(help="The bands in the network's order, as in red,green,blue.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to make.", file_okay=False)],
    name: Annotated[
        str | None, typer.Option(help="The model's name; the folder's, if none.")
    ] = None,
    scaling: Annotated[
        str | None,
        typer.Option(
            help="What is done to pixels: none, a number to divide by (255, 10000), imagenet, or "
            "a JSON file with STAC MLM's value_scaling."
        ),
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="In the order of the scores, where the file names none.")
    ] = None,
    tile_size: Annotated[
        int | None, typer.Option(help="px, where the file leaves it open.", min=1)
    ] = None,
    overlap: Annotated[
        int | None, typer.Option(help="px that tiles share; a quarter of a tile, if none.", min=0)
    ] = None,
    unit: Unit = None,
    scene: Annotated[
        list[str] | None,
        typer.Option(
            help="A scene like those of the training, for statistics; may be given often."
        ),
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="What kind of network it is.")] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="A hyperparameter, as in --set score_threshold=0.4."),
    ] = None,
) -> None:
    """Make a package of weights that Ultralytics, torchvision, transformers or smp exported."""
    from swath.authoring.initialise import InitOptions, init_package  # noqa: PLC0415
    from swath.authoring.value_scaling import parse_scaling  # noqa: PLC0415

    made = init_package(
        weights,
        out,
        InitOptions(
            library=library,
            name=name or out.name,
            bands=_list(bands),
            scaling=parse_scaling(scaling) if scaling else None,
            classes=_list(classes) if classes else None,
            tile_size=tile_size,
            overlap=overlap,
            units=tuple(unit or ()),
            scenes=tuple(scene or ()),
            architecture=architecture,
            hyperparameters=_assignments(options or []),
        ),
    )
    console = Console()
    _tell(console, made.report)
    for line in made.assumed:
        _line(console, f"taken for granted: {line}")
    _line(console, f"{out}: look at it with `swath model show {out}`")


@app.command("check")
def check(
    package: Package,
    image: Annotated[
        list[str] | None, typer.Option(help="A scene to cut tiles from; may be given often.")
    ] = None,
    tiles: Annotated[int, typer.Option(help="How many tiles of the scenes.", min=1)] = 4,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="By how much weights may differ, of the largest number: 0.001, if none, and "
            "more where they are in fewer bits.",
            min=0,
            callback=finite,
        ),
    ] = None,
) -> None:
    """Run a package once on all of its weights; prove that they agree. Exit code 1 if not."""
    from swath.authoring.check import check_package  # noqa: PLC0415

    report = check_package(package, images=image or [], tiles=tiles, tolerance=tolerance)
    _tell(Console(), report)
    if not report.passed:
        for fault in report.faults:
            _line(Console(stderr=True), f"error: {fault}")
        raise typer.Exit(_FAILED)


@app.command("show")
def show(package: Package) -> None:
    """Everything that a package says of itself."""
    from swath.authoring.facts import facts_of  # noqa: PLC0415

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    group = ""
    for fact in facts_of(package):
        shown = "" if fact.group == group else fact.group
        table.add_row(shown, Text(fact.name), Text(fact.value))
        group = fact.group
    Console().print(table)


@app.command("statistics")
def statistics(
    package: Annotated[Path, typer.Argument(help="The folder of the model package.")],
    scene: Annotated[
        list[str], typer.Option(help="A scene of the training, or one like it; may be given often.")
    ],
    unit: Unit = None,
) -> None:
    """Add the statistics of scenes to a package; runs then warn of scenes that contradict them."""
    from swath.authoring.statistics import add_statistics, parse_units  # noqa: PLC0415
    from swath.package import describe_package  # noqa: PLC0415

    bands = describe_package(package)[0].bands
    units = parse_units(unit, len(bands)) if unit else None
    expected = add_statistics(package, scene, units=units)
    _line(Console(), f"{package}: statistics of {expected.scenes} scenes and {len(bands)} bands")


@app.command("optimise")
def optimise(
    package: Package,
    out: Annotated[Path, typer.Option(help="The folder to make.", file_okay=False)],
    precision: Annotated[
        Literal["float16", "int8"], typer.Option(help="What the weights compute in.")
    ],
    scene: Annotated[
        list[str], typer.Option(help="A scene to calibrate with and to compare on; often.")
    ],
    tolerance: Annotated[
        float,
        typer.Option(
            help="How much may be lost, of AP or of agreement.", min=0, max=1, callback=finite
        ),
    ] = 0.02,
    tiles: Annotated[int, typer.Option(help="How many tiles of the scenes.", min=1)] = 32,
    labels: Labels = None,
    images: Images = None,
) -> None:
    """Make a smaller package of a model; refused where it loses too much."""
    from swath.authoring.optimise import optimise_package  # noqa: PLC0415

    found = optimise_package(
        package,
        out,
        precision,
        scenes=scene,
        tolerance=tolerance,
        tiles=tiles,
        labels=_collection(labels, images),
    )
    console = Console()
    _line(
        console,
        f"{found.agreement.share:.1%} agreement on {found.tiles} tiles; "
        f"{found.bytes_before / 1e6:.2f} to {found.bytes_after / 1e6:.2f} MB; "
        f"{found.milliseconds_before:.1f} to {found.milliseconds_after:.1f} ms a tile here",
    )
    if found.accuracy_before is not None and found.accuracy_after is not None:
        _line(console, f"AP or mIoU {found.accuracy_before:.3f} to {found.accuracy_after:.3f}")
    _line(console, str(out))


@app.command("publish")
def publish(
    package: Package,
    *,
    to: Annotated[
        list[str], typer.Option(help="A folder of models, or an S3 URI; may be given often.")
    ],
    labels: Labels = None,
    images: Images = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="The package's evaluation.json, made earlier.")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            help="By how much a figure may fall below the one in use.", min=0, callback=finite
        ),
    ] = 0.0,
    gate: Annotated[
        bool,
        typer.Option(help="Compare it with the package in use; --no-gate replaces it unmeasured."),
    ] = True,
) -> None:
    """Put a package where it is used from, unless it falls below the one that is there."""
    from swath.authoring.publish import Gate, publish_package  # noqa: PLC0415

    found = publish_package(
        package,
        to,
        Gate(
            labels=_collection(labels, images),
            evaluation=evaluation,
            tolerance=tolerance,
            closed=gate,
        ),
    )
    console = Console()
    published = (f"{found.name} {found.digest[:12]}: {place}" for place in found.places)
    for line in (*found.gates, *found.replaced, *published):
        _line(console, line)


def _tell(console: Console, report: CheckReport) -> None:
    """A line for each trial."""
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
            "failed" if trial.fault else "passed",
        )
    console.print(table)
    _line(
        console,
        f"{report.name} {report.digest[:12]}: {report.tiles} tiles each, checksums verified, "
        f"differences up to {report.tolerance:g} allowed",
    )
    for warning in report.warnings:
        _line(console, f"warning: {warning}")


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _assignments(options: list[str]) -> dict[str, Any]:
    found = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise InputError(f"--set {option} is no assignment; write --set name=value")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _collection(labels: str | None, images: str | None) -> Collection | None:
    if labels is None and images is None:
        return None
    if images is None:
        raise InputError("labels need --images, the folder of their scenes")
    from swath.labels.read import read_collection  # noqa: PLC0415

    return read_collection(labels, images)
