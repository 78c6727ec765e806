"""Small networks, exported as the libraries export theirs: the same outputs, in the same order."""

import math
import pickle
import zipfile

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIZE = 64
_POOLED = 4


def export(
    path,
    outputs,
    *,
    bands=3,
    size=SIZE,
    batch="batch",
    metadata=None,
    seed=0,
    whole=(),
    logits=(),
    form=None,
    opset=17,
    dtype=TensorProto.FLOAT,
):
    """Write an ONNX model whose outputs have those names and shapes, each number of the tile.

    Args:
        path: to write to.
        outputs: name → shape; a batch axis first where that is `batch` or a number.
        whole: the names of those that are numbers of classes, 1 or 2.
        logits: the names of those without a sigmoid.
        form: name → factors and summands that the numbers get, each of the shape's last axes.
    """
    rng = np.random.default_rng(seed)
    features = bands * _POOLED * _POOLED
    pool = size // _POOLED
    nodes = [
        helper.make_node(
            "AveragePool", ["images"], ["pooled"], kernel_shape=[pool] * 2, strides=[pool] * 2
        ),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    held, described = {}, []
    for name, shape in outputs.items():
        batched = shape[0] == batch
        rest = shape[1:] if batched else shape
        held[f"{name}_w"] = rng.normal(0, 0.5, (features, math.prod(rest))).astype(np.float32)
        first = [-1 if isinstance(batch, str) else batch] if batched else []
        held[f"{name}_shape"] = np.array([*first, *rest], np.int64)
        raw = "Identity" if name in logits else "Sigmoid"
        nodes += [
            helper.make_node("MatMul", ["features", f"{name}_w"], [f"{name}_m"]),
            helper.make_node(raw, [f"{name}_m"], [f"{name}_s"]),
            helper.make_node("Reshape", [f"{name}_s", f"{name}_shape"], [f"{name}_r"]),
        ]
        if name in (form or {}):
            factor, summand = form[name]
            held[f"{name}_f"] = np.asarray(factor, np.float32)
            held[f"{name}_t"] = np.asarray(summand, np.float32)
            nodes[-1].output[0] = f"{name}_u"
            nodes += [
                helper.make_node("Mul", [f"{name}_u", f"{name}_f"], [f"{name}_v"]),
                helper.make_node("Add", [f"{name}_v", f"{name}_t"], [f"{name}_r"]),
            ]
        kind = TensorProto.FLOAT
        if name in whole:
            kind = TensorProto.INT64
            held["two"], held["one"] = np.float32(2), np.float32(1)
            nodes += [
                helper.make_node("Mul", [f"{name}_r", "two"], [f"{name}_d"]),
                helper.make_node("Ceil", [f"{name}_d"], [f"{name}_c"]),
                helper.make_node("Max", [f"{name}_c", "one"], [f"{name}_l"]),
                helper.make_node("Cast", [f"{name}_l"], [name], to=kind),
            ]
        else:
            nodes.append(helper.make_node("Identity", [f"{name}_r"], [name]))
        described.append(helper.make_tensor_value_info(name, kind, list(shape)))
    graph = helper.make_graph(
        nodes,
        "export",
        [helper.make_tensor_value_info("images", dtype, [batch, bands, size, size])],
        described,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    path.write_bytes(model.SerializeToString())
    return path


def centers(more, *, size=SIZE, last=False):
    """The form of rows: a box by its center and sides in px, and `more` numbers as they are."""
    factor = np.array([size, size, size / 4, size / 4] + [1] * more, np.float32)
    factor = factor if last else factor[:, None]
    return factor, np.zeros_like(factor)


def corners(*, size=SIZE, label=None):
    """The form of boxes by two corners in px; with a `label`, a score and that class after them."""
    half = size / 2
    factor, summand = [half] * 4, [0, 0, half, half]
    if label is not None:
        factor, summand = [*factor, 1, 0], [*summand, 0, label]
    return np.array(factor, np.float32), np.array(summand, np.float32)


def ultralytics_notes(task, names, *, size=SIZE, **more):
    """The metadata that Ultralytics' exporter writes, each a Python literal."""
    notes = {
        "description": "Ultralytics YOLO11n model trained on ships.yaml",
        "author": "Ultralytics",
        "license": "AGPL-3.0 License (https://ultralytics.com/license)",
        "stride": 32,
        "task": task,
        "batch": 1,
        "imgsz": [size, size],
        "names": dict(enumerate(names)),
        "channels": 3,
    }
    return {key: str(value) for key, value in (notes | more).items()}


class Trap:
    """An object whose pickle makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


def checkpoint(path, *, imported=("ultralytics.nn.tasks", "DetectionModel"), trap=None):
    """An archive as `torch.save` writes it, whose pickle imports a class and springs a trap."""
    pickled = pickle.dumps({"model": Trap(trap) if trap else 0}, protocol=2)
    module, name = imported
    # Before the end: the class, and away with it.
    pickled = pickled[:-1] + f"c{module}\n{name}\n0.".encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", pickled)
        archive.writestr("best/version", "3\n")
    return path


def rewrite(source, target, change):
    """Copy an archive with parts changed by `change(name, content)`; None leaves a part out."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        for entry in archive.infolist():
            content = change(entry.filename, archive.read(entry))
            if content is not None:
                copy.writestr(entry.filename, content)
    return target
