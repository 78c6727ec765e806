"""Small networks of every kind, and their training steps."""

import torch

from swath.training.loader import Batch
from swath.training.networks import Targets, build_network
from swath.training.options import TrainOptions
from swath.training.train_step import TrainStep
from tests.helpers.synthetic import rectangles, tensor

SIZE, BANDS, CLASSES = 32, 3, 2
SMALL = {
    "detector": {"channels": (8, 16, 24)},
    "unet": {"channels": (8, 16, 24)},
    "segformer": {
        "hidden_sizes": (8, 16, 16, 16),
        "depths": (1, 1, 1, 1),
        "decoder_hidden_size": 16,
    },
    "rtdetrv2": {"queries": 8, "layers": 2},
    "d-fine": {"queries": 8, "layers": 2},
}


def network(name, **options):
    """A network with the same random weights each time."""
    torch.manual_seed(0)
    shape = {"bands": BANDS, "classes": CLASSES, "size": SIZE}
    return build_network(name, **shape, **(SMALL[name] | options))


def train_step(name, *, precision="float32", device="cpu"):
    """A training step of a new network."""
    options = TrainOptions(network=name, precision=precision, tile_size=SIZE, overlap=0)
    return TrainStep(network(name), options, torch.device(device))


def batch():
    """Four labeled crops."""
    crops = rectangles(4, size=SIZE, bands=BANDS, seed=3)
    return Batch(tensor(crops), Targets.collate(crops))
