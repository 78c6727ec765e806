"""`swath invoke`: images to an endpoint, GeoJSON back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from swath.cli.console import print_error, print_warning, progress_bar
from swath.cli.options import inputs, jobs, limits
from swath.cli.problems import EXIT_FAILED, EXIT_INPUT
from swath.errors import InputError, SettingsError

if TYPE_CHECKING:
    from swath.sagemaker.client.images import Endpoint

SUFFIX = ".geojson"


class _Answer(msgspec.Struct):
    """The members of an endpoint's answer that are read."""

    warnings: list[str] = []


def invoke(
    images: inputs.Images,
    *,
    endpoint: jobs.Endpoint,
    asynchronous: jobs.Asynchronous = False,
    out: inputs.OptionalOut = None,
    at_once: limits.AtOnce = 4,
) -> None:
    """Send images to a SageMaker endpoint; write its detections as GeoJSON.

    Without --out, the answer for one image goes to standard output, and the answers for several go
    to the current folder. Each file is named after its image.
    """
    from swath.sagemaker.client.images import describe_endpoint, invoke_images

    for image in images:
        if not image.is_file():
            raise InputError(f"there is no image at {image}; check the path")
    targets = _targets(images, out)
    asked = _checked(describe_endpoint(endpoint), asynchronous=asynchronous)
    for image in images:
        asked.check(image)
    errors: Counter[bool] = Counter()
    with progress_bar("images") as tell:
        tell("", 0, len(images))
        answers = invoke_images(asked, images, at_once=at_once)
        for done, (image, answer) in enumerate(answers, 1):
            tell("", done, len(images))
            if isinstance(answer, bytes):
                _write(answer, targets[image])
                for warning in msgspec.json.decode(answer, type=_Answer).warnings:
                    print_warning(f"{image}: {warning}")
                continue
            errors[isinstance(answer, InputError)] += 1
            print_error(f"{image}: {answer}")
    if errors:
        # As for one error: whether all of them are the images' own.
        raise typer.Exit(EXIT_FAILED if errors[False] else EXIT_INPUT)


def _targets(images: list[Path], out: Path | None) -> dict[Path, Path | None]:
    """Return the folder of the responses; None for standard output."""
    if out is None and len(images) == 1:
        return {images[0]: None}
    folder = out or Path()
    targets: dict[Path, Path | None] = {image: folder / f"{image.stem}{SUFFIX}" for image in images}
    if len({*targets.values()}) < len(images):
        names = Counter(image.stem for image in images)
        twice = next(name for name, count in names.items() if count > 1)
        raise InputError(
            f"two images would be answered in {folder / twice}{SUFFIX}; "
            "name each image once, and otherwise rename one or invoke them one by one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return targets


def _checked(endpoint: Endpoint, *, asynchronous: bool) -> Endpoint:
    if asynchronous != (endpoint.kind == "asynchronous"):
        remedy = "leave out --async" if asynchronous else "add --async"
        raise SettingsError(f"the endpoint {endpoint.name!r} is {endpoint.kind}: {remedy}")
    return endpoint


def _write(answer: bytes, target: Path | None) -> None:
    if target is None:
        typer.echo(answer)
    else:
        target.write_bytes(answer)
