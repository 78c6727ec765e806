"""A small convolutional module as packages of every kind of file that torch writes."""

import warnings

import numpy as np
import torch

from swath.models.package import load_package
from tests.helpers.packages import write_package

BANDS, SIZE = 3, 64
CELL_COUNT = (SIZE // 4) ** 2
FILES = {"pt2": "model.pt2", "scripted": "scripted.pt", "traced": "traced.pt"}


class Body(torch.nn.Module):
    """Convolutions, a grid made in `forward`, and a cast: files of it name device and dtype."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Conv2d(BANDS, 16, 3, 2, 1)
        self.second = torch.nn.Conv2d(16, 6, 3, 2, 1)

    def forward(self, tiles):
        found = self.second(torch.relu(self.first(tiles))).float()
        grid = torch.arange(found.shape[-1], device=tiles.device, dtype=torch.float32)
        return (found + grid).flatten(2)


def write_files(folder):
    """Save the module in every form, on the CPU."""
    body, tiles = Body().eval(), torch.rand(2, BANDS, SIZE, SIZE)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch asks for .pt2 in TorchScript's place
        free = ({0: torch.export.Dim("batch", min=1)},)
        program = torch.export.export(body, (tiles,), dynamic_shapes=free)
        torch.export.save(program, folder / FILES["pt2"])
        torch.jit.script(body).save(folder / FILES["scripted"])
        torch.jit.trace(body, tiles).save(folder / FILES["traced"])


def describe(precision="float32", href=FILES["pt2"]):
    """Change an `mlm.json` of `tests.helpers.packages` so that it describes the module."""

    def change(item):
        properties = item["properties"]
        source, target = properties["mlm:input"][0], properties["mlm:output"][0]
        source["bands"] = ["red", "green", "blue"]
        source["input"]["shape"] = [-1, BANDS, SIZE, SIZE]
        source["value_scaling"] = [
            {"type": "z-score", "mean": 100, "stddev": 50},
            {"type": "min-max", "minimum": 0, "maximum": 255},
            {"type": "clip", "minimum": 10, "maximum": 200},
        ]
        target["result"]["shape"] = [-1, 6, CELL_COUNT]
        classes = [{"value": i, "name": f"c{i}"} for i in range(2)]
        target["classification:classes"] = classes
        properties["mlm:hyperparameters"] |= {"overlap": 16, "precision": precision}
        item["assets"] = {"weights": {"href": href, "roles": ["mlm:model"]}}

    return change


def package(folder, form="pt2", precision="float32", href=None):
    """A package of the module in a form, that allows a precision."""
    write_files(folder)
    write_package(folder, describe(precision, href or FILES[form]))
    return load_package(folder)


def tiles(count, dtype=np.uint8, *, bands_last=False, seed=0):
    """Tiles as a reader gives them."""
    most = 120 if np.dtype(dtype).itemsize == 1 else 3000
    shape = (count, SIZE, SIZE, BANDS) if bands_last else (count, BANDS, SIZE, SIZE)
    pixels = np.random.default_rng(seed).integers(0, most, shape).astype(dtype)
    return list(pixels.transpose(0, 3, 1, 2) if bands_last else pixels)
