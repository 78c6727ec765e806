"""A small convolutional network, whose numbers any library can be given."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

BANDS, SIZE, CLASSES = 3, 16, 2
_HIDDEN = 8


def weights(seed=0):
    """The network's numbers: a convolution of 3 x 3 px, and one of a pixel."""
    rng = np.random.default_rng(seed)
    return {
        "w1": rng.normal(0, 0.3, (_HIDDEN, BANDS, 3, 3)).astype(np.float32),
        "b1": rng.normal(0, 0.3, _HIDDEN).astype(np.float32),
        "w2": rng.normal(0, 0.3, (4 + CLASSES, _HIDDEN, 1, 1)).astype(np.float32),
        "b2": rng.normal(0, 0.3, 4 + CLASSES).astype(np.float32),
    }


def onnx_network(*, batch="batch", size=SIZE, bands=BANDS, fails=False):
    """Return the network as ONNX: rows (batch, 4 + classes, candidates), and their source map.

    Args:
        batch: a number where the network insists on it.
        size: px.
        bands: the number of bands.
        fails: True = it asks for more memory than there is.
    """
    held = {name: value[:, :bands] if name == "w1" else value for name, value in weights().items()}
    count = batch if isinstance(batch, int) else -1
    held["shape"] = np.array([count, 4 + CLASSES, size * size])
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["map"]),
        helper.make_node("Reshape", ["map", "shape"], ["rows"]),
    ]
    outputs = [("rows", [batch, 4 + CLASSES, size * size]), ("map", [batch, None, size, size])]
    if fails:
        held["huge"] = np.array([1 << 20, 1 << 20])
        nodes.append(helper.make_node("ConstantOfShape", ["huge"], ["much"]))
        outputs.append(("much", [None, None]))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, bands, size, size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in outputs],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def describe(item):
    """Change an `mlm.json` of `tests.helpers.packages` so that it describes the network."""
    properties = item["properties"]
    source, target = properties["mlm:input"][0], properties["mlm:output"][0]
    source["bands"] = ["red", "green", "blue"]
    source["input"]["shape"] = [-1, BANDS, SIZE, SIZE]
    source["value_scaling"] = [{"type": "z-score", "mean": 90 + i, "stddev": 50} for i in range(3)]
    target["result"]["shape"] = [-1, 4 + CLASSES, SIZE * SIZE]
    target["classification:classes"] = [{"value": i, "name": f"c{i}"} for i in range(CLASSES)]


def tiles(count, *, dtype=np.uint8, seed=1):
    """Tiles for it, as a reader gives them: the bands of a pixel side by side in memory."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, SIZE, SIZE, BANDS)).astype(dtype)
    return list(pixels.transpose(0, 3, 1, 2))
