"""Describe the package of a model in training, before the package is written."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from swath.models.mlm import ModelDescription, parse_description
from swath.packaging.write_mlm import PackageSpec, build_item
from swath.raster.assets.stack import DEFAULT_GSD_TOLERANCE, DEFAULT_RESAMPLING

if TYPE_CHECKING:
    from swath.models.scaling import Scaling
    from swath.raster.band_units import Units
    from swath.training.networks import Network
    from swath.training.options import TrainOptions

ONNX, PT2 = "model.onnx", "model.pt2"


def package_spec(
    network: Network,
    options: TrainOptions,
    *,
    bands: Sequence[str],
    scaling: Sequence[Scaling | None],
    classes: Sequence[str],
    units: Units = (),
) -> PackageSpec:
    """Return the package spec of a network, which does not depend on the weights' values.

    Args:
        network: Network to describe.
        options: Training options.
        bands: Names of the bands, in the model's order.
        scaling: Scaling of each band; None for a band that is not scaled.
        classes: Class names, in the model's order.
        units: Unit of each band's input values; empty for unknown units.
    """
    head = network.head()
    hyperparameters: dict[str, Any] = dict(head["hyperparameters"])
    if options.fill_value:
        hyperparameters["fill_value"] = options.fill_value
    hyperparameters |= _resampling_hyperparameters(options)
    if options.score_threshold is not None:
        hyperparameters["score_threshold"] = options.score_threshold
    return PackageSpec(
        name=options.name,
        architecture=head["architecture"],
        task=head["task"],
        bands=tuple(bands),
        scaling=tuple(scaling),
        tile_size=options.tile_size,
        overlap=options.overlap,
        outputs=head["outputs"],
        classes=tuple(classes),
        hyperparameters=hyperparameters,
        weights=(PT2, ONNX),
        units=units,
        parameters=sum(weight.numel() for weight in network.parameters()),
    )


def _resampling_hyperparameters(options: TrainOptions) -> dict[str, Any]:
    """Return the hyperparameters of the pixel grid that differ from the defaults."""
    stated: dict[str, Any] = {} if options.gsd is None else {"gsd": options.gsd}
    if options.gsd_tolerance != DEFAULT_GSD_TOLERANCE:
        stated["gsd_tolerance"] = options.gsd_tolerance
    if options.resampling != DEFAULT_RESAMPLING:
        stated["resampling"] = options.resampling
    return stated


def with_hyperparameters(spec: PackageSpec, changes: Mapping[str, Any]) -> PackageSpec:
    """Return a copy of a spec with some hyperparameters changed."""
    return replace(spec, hyperparameters={**spec.hyperparameters, **changes})


def to_model_description(spec: PackageSpec) -> ModelDescription:
    """Return the engine's description of a package, whose weights are not yet written."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, PT2).touch()
        item = build_item(Path(folder), replace(spec, weights=(PT2,)))
    description = parse_description(json.dumps(item).encode())
    return msgspec.structs.replace(description, weights=())
