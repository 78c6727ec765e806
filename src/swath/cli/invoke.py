"""Define `swath invoke`, which sends images to an endpoint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from swath.cli.console import print_error, print_warning, progress_bar
from swath.cli.error_lines import EXIT_FAILED, EXIT_INPUT
from swath.cli.options import inputs, jobs, limits
from swath.errors import InputError, SettingsError

if TYPE_CHECKING:
    from swath.sagemaker.client.images import ImageEndpoint

OUTPUT_SUFFIX = ".geojson"


class _Response(msgspec.Struct):
    """Members of an endpoint's response that the command reads."""

    warnings: list[str] = []


def invoke(
    images: inputs.Images,
    *,
    endpoint: jobs.EndpointName,
    asynchronous: jobs.Asynchronous = False,
    out: inputs.OptionalOut = None,
    at_once: limits.MaxConcurrentImages = 4,
) -> None:
    """Send images to a SageMaker endpoint; write the detections as GeoJSON.

    Without --out, the detections of a single image are written to standard output. The detections
    of several images are written to the current folder, one file for each image, with its name.
    """
    from swath.sagemaker.client.images import describe_endpoint, invoke_images

    for image in images:
        if not image.is_file():
            raise InputError(f"there is no image at {image}; check the path")
    outputs = _output_files(images, out)
    target_endpoint = _check_kind(describe_endpoint(endpoint), asynchronous=asynchronous)
    for image in images:
        target_endpoint.check(image)
    errors: Counter[bool] = Counter()
    with progress_bar("images") as update:
        update("", 0, len(images))
        responses = invoke_images(target_endpoint, images, max_concurrent=at_once)
        for done, (image, response) in enumerate(responses, 1):
            update("", done, len(images))
            if isinstance(response, bytes):
                _write(response, outputs[image])
                for warning in msgspec.json.decode(response, type=_Response).warnings:
                    print_warning(f"{image}: {warning}")
                continue
            errors[isinstance(response, InputError)] += 1
            print_error(f"{image}: {response}")
    if errors:
        # EXIT_INPUT only if every error is an InputError, as for a single error.
        raise typer.Exit(EXIT_FAILED if errors[False] else EXIT_INPUT)


def _output_files(images: list[Path], out: Path | None) -> dict[Path, Path | None]:
    """Return the output file of each image; None for standard output."""
    if out is None and len(images) == 1:
        return {images[0]: None}
    folder = out or Path()
    targets: dict[Path, Path | None] = {
        image: folder / f"{image.stem}{OUTPUT_SUFFIX}" for image in images
    }
    if len({*targets.values()}) < len(images):
        names = Counter(image.stem for image in images)
        twice = next(name for name, count in names.items() if count > 1)
        raise InputError(
            f"two images have the same output, {folder / twice}{OUTPUT_SUFFIX}; "
            "give each image once, rename one of them, or invoke them one by one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return targets


def _check_kind(endpoint: ImageEndpoint, *, asynchronous: bool) -> ImageEndpoint:
    if asynchronous != (endpoint.kind == "asynchronous"):
        remedy = "omit --async" if asynchronous else "add --async"
        raise SettingsError(f"the endpoint {endpoint.name!r} is {endpoint.kind}: {remedy}")
    return endpoint


def _write(response: bytes, target: Path | None) -> None:
    if target is None:
        typer.echo(response)
    else:
        target.write_bytes(response)
