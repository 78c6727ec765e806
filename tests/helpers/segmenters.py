"""A semantic segmentation made here: a model whose class of every pixel is known beforehand."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.helpers.packages import TILE, for_task, write_package

CLASSES = ("land", "water", "wood")
BACKGROUND = 0
WIDTH, HEIGHT = 150, 90
NODATA = -1


def bands_of_value() -> bytes:
    """A segmenter: a pixel of value v is of the class nearest to v; its logits say how near."""
    classes = np.arange(len(CLASSES), dtype=np.float32).reshape(1, -1, 1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["image", "hundred"], ["value"]),
            helper.make_node("Sub", ["value", "classes"], ["away"]),
            helper.make_node("Mul", ["away", "away"], ["distance"]),
            helper.make_node("Mul", ["distance", "steepness"], ["logits"]),
        ],
        "bands_of_value",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, TILE, TILE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, TILE, TILE])],
        [
            numpy_helper.from_array(np.array([100], np.float32), "hundred"),
            numpy_helper.from_array(classes, "classes"),
            numpy_helper.from_array(np.array([-4], np.float32), "steepness"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def write_segmenter(folder, **options):
    """Write the package of the model, which asks for a mask."""
    options = {"mask": True} | options
    change = for_task(
        "semantic-segmentation",
        {"logits": [-1, len(CLASSES), TILE, TILE]},
        classes=CLASSES,
        background=CLASSES[BACKGROUND],
        score_activation="softmax",
        **options,
    )
    return write_package(folder, change, weights=bands_of_value())


def values() -> np.ndarray:
    """A lake with an island, fields like a chess board, a river across it all, and no data."""
    rng = np.random.default_rng(3)
    value = rng.choice([0, 1, 2], (HEIGHT // 5, WIDTH // 5)).repeat(5, axis=0).repeat(5, axis=1)
    value[20:70, 30:110] = 1
    value[35:50, 60:80] = 2
    value[np.arange(HEIGHT), np.arange(HEIGHT)] = 1
    value[40:44] = 1
    pixels = value + rng.uniform(-0.4, 0.4, value.shape)
    pixels[60:85, 100:125] = NODATA
    return pixels.astype(np.float32)
