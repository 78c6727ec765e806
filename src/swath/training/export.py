"""Export a trained network as a model package, and check that its files agree."""

from __future__ import annotations

import copy
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from swath.errors import TrainingError
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from swath.models.runtimes.torch import TorchModel
from swath.packaging import sample_tiles
from swath.packaging.check import TOLERANCE, check_package
from swath.packaging.compare_outputs import difference
from swath.packaging.write_mlm import PackageSpec, write_description
from swath.training.package_spec import ONNX, PT2

if TYPE_CHECKING:
    from swath.training.networks import Network

ONNX_OPSET = 18
_CHECKED_TILES = 4
_EXPORTER_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def export_package(
    network: Network, spec: PackageSpec, folder: Path, scenes: Sequence[str]
) -> None:
    """Write a model package, `.pt2`, `.onnx` and `mlm.json`, completely or not at all.

    Before the package is in `folder`, the engine's libraries run both files on tiles of real
    scenes.

    Args:
        network: Network on any device; it is not changed.
        spec: Content of the package's description.
        folder: Folder of the package; an earlier package is replaced.
        scenes: Addresses of scenes to check the files on.

    Raises:
        TrainingError: The outputs of the files differ from each other or from the network's.
    """
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    module = copy.deepcopy(network).cpu().exported().eval()
    with torch.no_grad():
        _write_weights(module, spec, unfinished)
    write_description(unfinished, spec)
    _check_outputs(module, unfinished, scenes)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _write_weights(module: torch.nn.Module, spec: PackageSpec, folder: Path) -> None:
    """Write both weight files, for batches of any size."""
    # torch.export specializes on batches of 0 or 1 tiles, so the example batch has two.
    tiles = torch.zeros((2, len(spec.bands), spec.tile_size, spec.tile_size))
    batch: Any = torch.export.Dim("batch", min=1)
    with _silence_exporters():
        program = torch.export.export(
            module, (tiles,), dynamic_shapes=({0: batch},), strict=getattr(module, "strict", False)
        )
        _remove_stack_traces(program)
        onnx_program: Any = torch.onnx.export(
            program,
            (),
            input_names=[spec.input_name],
            output_names=[output.name for output in spec.outputs],
            opset_version=ONNX_OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
        # The example inputs are only zeros, but take as many bytes as two tiles.
        program.example_inputs = None
        torch.export.save(program, folder / PT2)
    model = onnx_program.model_proto
    _remove_metadata(model)
    (folder / ONNX).write_bytes(model.SerializeToString())


def _remove_stack_traces(program: Any) -> None:
    """Remove the stack trace of each operation, which contains paths of the training machine."""
    for module in program.graph_module.modules():
        graph = getattr(module, "graph", None)
        for node in graph.nodes if graph is not None else ():
            node.meta.pop("stack_trace", None)


def _remove_metadata(model: Any) -> None:
    """Remove the exporter's metadata from an ONNX model, because no runtime reads it."""
    graph = model.graph
    for entry in (graph, *graph.node, *graph.initializer, *graph.input):
        del entry.metadata_props[:]
    # Shapes of intermediate values, which runtimes infer themselves.
    del graph.value_info[:]


def _check_outputs(module: torch.nn.Module, folder: Path, scenes: Sequence[str]) -> None:
    """Check that every library's outputs for tiles of real scenes agree with the network's.

    Raises:
        TrainingError: The outputs differ from each other or from the network's.
    """
    threads = torch.get_num_threads()
    try:
        faults = check_package(folder, images=scenes, tiles=_CHECKED_TILES).failures
        differs = 0.0 if faults else _difference(module, folder, scenes)
    finally:
        torch.set_num_threads(threads)
    if not differs <= TOLERANCE:
        faults = (f"the files agree, but differ from the trained network by {differs:.2g}",)
    if faults:
        raise TrainingError(f"the exported model is not right: {'; '.join(faults)}")


def _difference(module: torch.nn.Module, folder: Path, scenes: Sequence[str]) -> float:
    """Return the largest difference between the outputs of the ONNX file and the network."""
    package = load_package(folder)
    description = package.description
    trained = TorchModel(module, description, torch.device("cpu"))
    exported = load_model(package, format="onnx")
    return max(
        (
            difference(trained([tile])[0], exported([tile])[0], description)
            for tile in sample_tiles.from_scenes(scenes, description, count=_CHECKED_TILES)
        ),
        default=0.0,
    )


@contextmanager
def _silence_exporters() -> Iterator[None]:
    """Silence the exporters' warnings, and their log below errors, inside the block."""
    before = {name: logging.getLogger(name).level for name in _EXPORTER_LOGGERS}
    for name in _EXPORTER_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
