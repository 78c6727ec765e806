"""Networks of each library with random weights, biased so that they find some objects on noise."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ |= {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0"}
os.environ |= {"HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"}

import numpy as np
import torch
from torch import Tensor, nn

SIZE = 256
NAMES = ("ship", "buoy", "pier", "crane", "ferry")


def seed(number: int) -> None:
    """Make all random numbers those of a seed."""
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 (the libraries use it)
    torch.manual_seed(number)


def tile() -> np.ndarray:
    """Draw a tile of blobs and noise, (3, SIZE, SIZE) of 8 bits."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 60, (3, SIZE, SIZE))
    for _ in range(60):
        y, x, height, width = rng.integers(0, SIZE, 4) // (1, 1, 8, 8)
        pixels[:, y : y + height + 2, x : x + width + 2] += rng.integers(20, 180, (3, 1, 1))
    return pixels.clip(0, 255).astype(np.uint8)


def normalize(model: nn.Module, forward: Callable[[], Any]) -> None:
    """Give batch norms the statistics of the tile, so that what differs in it still does."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        forward()
    for norm in norms:
        norm.eval()


def spread(
    layers: Iterable[nn.Module], forward: Callable[[], Any], *, mean: float, std: float
) -> None:
    """Give the numbers of layers, channel by channel, a mean and a deviation on the tile."""
    seen: dict[nn.Module, Tensor] = {}
    layers = list(layers)

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        # Of a layer that several levels share, the finest one.
        seen.setdefault(layer, given[0].detach().clone())

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    with torch.no_grad():
        forward()
        for hook in hooks:
            hook.remove()
        for layer in layers:
            if layer not in seen:
                continue
            if layer.bias is None:
                layer.bias = nn.Parameter(torch.zeros(layer.weight.shape[0]))
            layer.bias.zero_()
            found = layer(seen[layer])
            axis = 1 if isinstance(layer, nn.Conv2d) else found.ndim - 1
            flat = found.transpose(0, axis).flatten(1)
            factor = std / flat.std(1).clamp(min=1e-6)
            layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
            layer.bias.copy_(mean - flat.mean(1) * factor)


def yolo(config: str, classes: int, *, mean: float = -4.0) -> Any:
    """One of Ultralytics' networks with some classes."""
    from ultralytics import RTDETR, YOLO  # noqa: PLC0415

    library = RTDETR if config.startswith("rtdetr") else YOLO
    made = library(config)
    network = type(made.model)
    made.model = network(config, nc=classes, verbose=False).eval()
    made.model.names = dict(enumerate(NAMES[:classes]))
    made.model.args = {"task": made.task, "imgsz": SIZE, "data": None}
    made.model.task = made.task
    image = torch.from_numpy(tile())[None].float() / 255
    model = made.model

    def forward() -> Any:
        return model(image)

    noise = torch.cat([image, torch.rand(1, 3, SIZE, SIZE)])
    normalize(model, lambda: model(noise))
    head = model.model[-1]
    if library is RTDETR:
        spread([head.enc_score_head], forward, mean=mean, std=1.5)
        spread(head.dec_score_head, forward, mean=mean, std=1.5)
        return made
    if hasattr(head, "linear"):
        head.linear.bias.data = torch.randn(classes)
        return made
    if getattr(head, "one2one_cv2", None) is not None:
        model.end2end = True
        _spread_head(head, forward, "one2one_", mean)
        model.end2end = False
    _spread_head(head, forward, "", mean)
    return made


def _spread_head(head: nn.Module, forward: Callable[[], Any], prefix: str, mean: float) -> None:
    last = {
        name: [branch[-1] for branch in branches]
        for name in ("cv2", "cv3", "cv4", "cv5")
        if (branches := getattr(head, prefix + name, None)) is not None
    }
    if head.reg_max > 1:
        spread(last["cv2"], forward, mean=0.0, std=1.5)
    spread(last["cv3"], forward, mean=mean, std=1.5)
    for name in ("cv4", "cv5"):
        spread(last.get(name, []), forward, mean=0.0, std=1.0)


class Tile(nn.Module):
    """A detector of torchvision for one tile per call, as docs/model-package.md has it."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, tiles: Tensor) -> dict[str, Tensor]:
        """Detect in one tile."""
        found: dict[str, Tensor] = self.detector([tiles[0]])[0]
        return found


class Outputs(nn.Module):
    """Some of the outputs of a network of transformers, in order."""

    def __init__(self, network: nn.Module, *names: str) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Run the network."""
        found = self.network(pixel_values)
        return tuple(found[name] for name in self.names)


def to_onnx(model: nn.Module, path: Path, names: list[str], *, batch: bool = True) -> Path:
    """Export by torch's own exporter."""
    free = {"image": {0: "batch"}, **{name: {0: "batch"} for name in names}} if batch else None
    with torch.no_grad():
        torch.onnx.export(
            model.eval(),
            (torch.rand(1, 3, SIZE, SIZE),),
            path,
            input_names=["image"],
            output_names=names,
            dynamic_axes=free,
            opset_version=17,
            dynamo=False,
        )
    return path
