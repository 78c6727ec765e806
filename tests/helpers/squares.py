"""Scenes that a tiny network learns in seconds: bright squares on noise, and what it learnt."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from swath.labels.read import read_collection
from swath.training.options import TrainOptions

SIDE = 160
SCENES = ("a.tif", "b.tif", "c.tif")
HELD_OUT = "v.tif"
OPTIONS = {
    "name": "squares",
    "tile_size": "64",
    "overlap": "16",
    "epochs": "5",
    "crops": "64",
    "warm_up": "3",
    "ema_decay": "0.9",
    "learning_rate": "0.01",
    "network.channels": "[8,12,16]",
    # Other tests may run beside this one; threads that wait for each other would wait for those.
    "threads": "1",
    "workers": "2",
}


def place_squares(rng, count):
    """Squares of 6 to 11 px that do not touch, (x0, y0, x1, y1)."""
    taken = np.zeros((SIDE, SIDE), bool)
    boxes = []
    while len(boxes) < count:
        side = int(rng.integers(6, 12))
        x, y = (int(v) for v in rng.integers(2, SIDE - side - 2, 2))
        around = taken[y - 2 : y + side + 2, x - 2 : x + side + 2]
        if not around.any():
            around[...] = True
            boxes.append((x, y, x + side, y + side))
    return boxes


def write_scene(path, rng, boxes):
    """Two bands of noise, in both of which the squares are bright."""
    pixels = rng.normal(1000, 50, (2, SIDE, SIDE))
    for x0, y0, x1, y1 in boxes:
        pixels[:, y0:y1, x0:x1] += 500
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 2, "dtype": "uint16"}
    place = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000)}
    with rasterio.open(path, "w", **profile, **place) as target:
        target.write(pixels.astype(np.uint16))
        target.set_band_description(1, "red")
        target.set_band_description(2, "nir")


def write_squares(folder: Path) -> Path:
    """Four scenes and two COCO files: `labels.json` of all, `train.json` without the last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenes").mkdir()
    rng = np.random.default_rng(7)
    coco = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "square"}]}
    for number, name in enumerate((*SCENES, HELD_OUT), 1):
        boxes = place_squares(rng, 14)
        write_scene(folder / "scenes" / name, rng, boxes)
        coco["images"].append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
        coco["annotations"] += [_annotation(number, box) for box in boxes]
    for place, annotation in enumerate(coco["annotations"], 1):
        annotation["id"] = place
    for name, kept in {"labels": (1, 2, 3, 4), "train": (1, 2, 3), "val": (4,)}.items():
        part = coco | {
            "images": [image for image in coco["images"] if image["id"] in kept],
            "annotations": [one for one in coco["annotations"] if one["image_id"] in kept],
        }
        (folder / f"{name}.json").write_text(json.dumps(part))
    return folder


def _annotation(image, box):
    x0, y0, x1, y1 = box
    return {
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
    }


def collection(folder, name):
    """Return the collection of `train`, `val` or all `labels`."""
    return read_collection(str(folder / f"{name}.json"), str(folder / "scenes"))


def options(**changes):
    """Return the options of a tiny training, with `changes`."""
    return TrainOptions.from_strings(OPTIONS | changes)


@dataclass(frozen=True)
class Trained:
    """A training that was never stopped."""

    folder: Path
    report: object
    points: list


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> Path:
    """The folder of scenes and labels."""
    return write_squares(tmp_path_factory.mktemp("squares") / "data")


@pytest.fixture(scope="session")
def trained(squares, tmp_path_factory) -> Trained:
    """The result of a training with `OPTIONS`, validated on the held-out scene."""
    # torch, for those tests that need it.
    from swath.training.train import train  # noqa: PLC0415

    out = tmp_path_factory.mktemp("trained")
    points = []
    report = train(
        options(),
        collection(squares, "train"),
        collection(squares, "val"),
        out,
        on_epoch=points.append,
    )
    return Trained(out, report, points)
