"""Tests of packages made of exports whose outputs follow each library's convention."""

import json
import warnings

import msgspec
import numpy as np
import onnx
import pytest
from stac_model.schema import MLModelProperties

from swath.errors import InputError, PackageError
from swath.models.mlm import parse_description
from swath.models.package import load_package
from swath.models.scaling import MinMax, Scale, ZScore
from swath.packaging.init_package import InitOptions, init_package
from swath.packaging.sample_tiles import noise
from swath.packaging.value_scaling import parse_scaling
from tests.helpers.exports import SIZE, centers, checkpoint, corners, export, ultralytics_notes
from tests.helpers.packages import description as build_item

ROWS = 84


@pytest.fixture
def init(tmp_path):
    """Return a function that makes a package of weights and returns its description."""

    def make(weights, library, **options):
        weights = weights if isinstance(weights, list) else [weights]
        options = {"name": "made", "bands": ("red", "green", "blue")} | options
        made = init_package(weights, tmp_path / "made", InitOptions(library=library, **options))
        assert made.report.passed
        item = json.loads((tmp_path / "made" / "mlm.json").read_text())
        standard = {k: v for k, v in item["properties"].items() if k.startswith("mlm:")}
        assert MLModelProperties.model_validate(standard).name == "made"
        return load_package(tmp_path / "made").description

    return make


def test_what_a_killed_process_left_beside_it_goes(init, tmp_path):
    (tmp_path / ".work-abc" / "package").mkdir(parents=True)
    path = export(
        tmp_path / "yolo.onnx",
        {"output0": ["batch", 6, ROWS]},
        form={"output0": centers(2)},
        metadata=ultralytics_notes("detect", ["ship", "buoy"]),
    )

    init(path, "ultralytics")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "yolo.onnx"]


def facts(description, *names):
    return tuple(getattr(description, name) for name in names)


def test_ultralytics_detector(init, tmp_path):
    path = export(
        tmp_path / "yolo.onnx",
        {"output0": ["batch", 6, ROWS]},
        form={"output0": centers(2)},
        metadata=ultralytics_notes("detect", ["ship", "buoy"]),
    )

    made = init(path, "ultralytics")

    assert facts(made, "task", "head", "box_format", "box_units", "output_layout") == (
        "detection",
        "rows",
        "cxcywh",
        "px",
        "channels_first",
    )
    assert made.classes == ("ship", "buoy")
    assert made.scaling == (Scale(value=255.0),) * 3
    assert (made.tile_size, made.overlap) == (SIZE, 16)
    assert (made.score_threshold, made.matching.threshold) == (0.25, 0.7)
    properties = json.loads((tmp_path / "made" / "mlm.json").read_text())["properties"]
    assert properties["mlm:architecture"] == "YOLO11n"
    assert properties["license"] == "AGPL-3.0-only"
    assert properties["mlm:total_parameters"] == 3 * 16 * 6 * ROWS + 2 * 6


@pytest.mark.parametrize(
    ("task", "shape", "form", "expected"),
    [
        ("obb", [7, ROWS], centers(3), ("oriented-detection", "rows", "cxcywhr", "last", "nms")),
        (
            "detect",
            [300, 6],
            corners(label=1),
            ("detection", "labeled", "xyxy", "after_box", "none"),
        ),
        (
            "obb",
            [300, 7],
            (np.array([64, 64, 20, 20, 1, 0, 1]), np.array([0, 0, 0, 0, 0, 1, 0])),
            ("oriented-detection", "labeled", "cxcywhr", "last", "none"),
        ),
        (
            "detect",
            [ROWS, 7],
            centers(3, last=True),
            ("detection", "objectness", "cxcywh", "after_box", "nms"),
        ),
    ],
    ids=["oriented", "end to end", "oriented, end to end", "YOLOv5"],
)
def test_ultralytics_other_boxes(init, tmp_path, task, shape, form, expected):
    path = export(
        tmp_path / "yolo.onnx",
        {"output0": ["batch", *shape]},
        form={"output0": form},
        metadata=ultralytics_notes(task, ["ship", "buoy"]),
    )

    made = init(path, "ultralytics")

    assert (*facts(made, "task", "head", "box_format", "angle"), made.matching.strategy) == expected


def test_ultralytics_rt_detr(init, tmp_path):
    path = export(
        tmp_path / "rtdetr.onnx",
        {"output0": ["batch", 300, 7]},
        metadata=ultralytics_notes("detect", ["ship", "buoy", "pier"]),
    )

    made = init(path, "ultralytics")

    found = facts(made, "head", "box_units", "output_layout")
    assert found == ("rows", "normalized", "channels_last")


def test_ultralytics_segmenter(init, tmp_path):
    path = export(
        tmp_path / "seg.onnx",
        {"output0": ["batch", 37, ROWS], "output1": ["batch", 32, 16, 16]},
        form={"output0": centers(33)},
        metadata=ultralytics_notes("segment", ["ship"]),
    )

    made = init(path, "ultralytics")

    assert facts(made, "task", "head") == ("instance-segmentation", "prototypes")
    assert made.outputs == ("rows", "prototypes")


def test_ultralytics_classifier(init, tmp_path):
    path = export(
        tmp_path / "cls.onnx",
        {"output0": ["batch", 2]},
        metadata=ultralytics_notes("classify", ["port", "water"]),
    )

    assert facts(init(path, "ultralytics"), "task", "activation") == ("classification", "none")


@pytest.mark.parametrize(
    ("task", "outputs", "reason"),
    [
        ("pose", {"output0": ["batch", 56, ROWS]}, "task 'pose'; swath runs detect"),
        ("detect", {"output0": ["batch", 9, ROWS]}, "a box of 4 numbers and 1 classes"),
        (
            "segment",
            {"output0": ["batch", 300, 38], "output1": ["batch", 32, 16, 16]},
            "nms=False, and YOLO26 also with end2end=False",
        ),
    ],
)
def test_what_swath_cannot_read_of_ultralytics(init, tmp_path, task, outputs, reason):
    path = export(tmp_path / "m.onnx", outputs, metadata=ultralytics_notes(task, ["ship"]))

    with pytest.raises(PackageError, match=reason):
        init(path, "ultralytics")
    assert not (tmp_path / "made").exists()


DETECTIONS = {"boxes": [5, 4], "labels": [5], "scores": [5]}


@pytest.mark.parametrize("order", [("boxes", "labels", "scores"), ("boxes", "scores", "labels")])
def test_torchvision_detector(init, tmp_path, order):
    names = {name: f"out{place}" for place, name in enumerate(order)}
    path = export(
        tmp_path / "rcnn.onnx",
        {names[name]: DETECTIONS[name] for name in order},
        whole=(names["labels"],),
        form={names["boxes"]: corners()},
        batch=1,
    )

    made = init(path, "torchvision", classes=("background", "ship", "buoy"))

    assert facts(made, "task", "head", "first_label", "batched") == (
        "detection",
        "torchvision",
        1,
        False,
    )
    assert made.outputs == order
    assert made.classes == ("ship", "buoy")
    assert made.scaling[0] == Scale(value=255.0)


def test_torchvision_mask_rcnn(init, tmp_path):
    shapes = DETECTIONS | {"masks": [5, 1, SIZE, SIZE]}
    path = export(
        tmp_path / "mask.onnx", shapes, whole=("labels",), form={"boxes": corners()}, batch=1
    )

    made = init(path, "torchvision", classes=("ship", "buoy"))

    assert made.task == "instance-segmentation"
    assert made.outputs == ("boxes", "labels", "scores", "masks")


def test_torchvision_segmentation_passes_over_the_auxiliary_output(init, tmp_path):
    shape = ["batch", 3, SIZE, SIZE]
    path = export(
        tmp_path / "fcn.onnx", {"out": shape, "aux": shape}, logits=("out", "aux"), size=SIZE
    )

    made = init(
        path, "torchvision", classes=("land", "water", "ice"), scaling=parse_scaling("imagenet")
    )

    assert facts(made, "task", "activation", "outputs") == ("segmentation", "softmax", ("scores",))
    assert made.scaling[0] == ZScore(mean=0.485 * 255, stddev=0.229 * 255)


@pytest.mark.parametrize(
    ("classes", "activation"), [(("ship", "buoy"), "softmax"), (("ship", "buoy", "x"), "sigmoid")]
)
@pytest.mark.parametrize("order", [("logits", "pred_boxes"), ("pred_boxes", "logits")])
def test_transformers_detr(init, tmp_path, classes, activation, order):
    shapes = {"logits": ["batch", 20, 3], "pred_boxes": ["batch", 20, 4]}
    path = export(
        tmp_path / "detr.onnx", {name: shapes[name] for name in order}, logits=("logits",)
    )

    made = init(path, "transformers", classes=classes, scaling=parse_scaling("255"))

    assert facts(made, "head", "activation", "box_format", "box_units") == (
        "detr",
        activation,
        "cxcywh",
        "normalized",
    )
    assert made.outputs == tuple({"pred_boxes": "boxes"}.get(name, name) for name in order)


def test_transformers_configuration_names_classes_and_scaling(init, tmp_path):
    config = {
        "id2label": {"1": "water", "0": "land"},
        "architectures": ["SegformerForSemanticSegmentation"],
    }
    processor = {
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.2, 0.1],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    path = export(tmp_path / "seg.onnx", {"logits": ["batch", 2, 16, 16]}, logits=("logits",))

    made = init(path, "transformers")

    assert made.classes == ("land", "water")
    assert made.scaling[2] == ZScore(mean=0.3 * 255, stddev=0.1 * 255)
    properties = json.loads((tmp_path / "made" / "mlm.json").read_text())["properties"]
    assert properties["mlm:architecture"] == "SegformerForSemanticSegmentation"


@pytest.mark.parametrize(("count", "activation"), [(1, "sigmoid"), (3, "softmax")])
def test_smp(init, tmp_path, count, activation):
    path = export(
        tmp_path / "unet.onnx", {"output": ["batch", count, SIZE, SIZE]}, logits=("output",)
    )
    names = ("a", "b", "c")[:count]

    made = init(path, "smp", classes=names, scaling=parse_scaling("imagenet"))

    assert facts(made, "task", "head", "activation") == ("segmentation", "scores", activation)


def test_swaths_own(init, tmp_path):
    path = export(tmp_path / "rows.onnx", {"rows": ["batch", 5, ROWS]}, bands=5)

    made = init(
        path,
        "swath",
        bands=("a", "b", "c", "d", "e"),
        classes=("ship",),
        scaling=parse_scaling("none"),
        hyperparameters={"score_threshold": 0.4},
    )

    assert (made.score_threshold, made.scaling) == (0.4, (None,) * 5)


def test_scaling_as_a_file(tmp_path):
    steps = [ZScore(mean=1.0, stddev=2.0), Scale(value=3.0)]
    (tmp_path / "scaling.json").write_bytes(msgspec.json.encode(steps))

    assert parse_scaling(str(tmp_path / "scaling.json")) == tuple(steps)
    with pytest.raises(InputError, match="'half' is unknown; give none"):
        parse_scaling("half")
    (tmp_path / "scaling.json").write_text('[{"type": "cube"}]')
    with pytest.raises(InputError, match="is not a value_scaling"):
        parse_scaling(str(tmp_path / "scaling.json"))


def test_a_number_of_tiles_that_the_weights_insist_on(init, tmp_path):
    path = export(tmp_path / "two.onnx", {"rows": [2, 5, ROWS]}, batch=2)

    init(path, "swath", classes=("ship",), scaling=parse_scaling("none"))

    properties = json.loads((tmp_path / "made" / "mlm.json").read_text())["properties"]
    assert properties["mlm:input"][0]["input"]["shape"][0] == 2


def test_numbers_beside_an_onnx_model_are_taken_into_it(init, tmp_path):
    path = export(tmp_path / "m.onnx", {"rows": ["batch", 5, ROWS]})
    apart = tmp_path / "apart"
    apart.mkdir()
    onnx.save(
        onnx.load(path),
        apart / "m.onnx",
        save_as_external_data=True,
        location="m.onnx.data",
        size_threshold=1024,
    )
    assert (apart / "m.onnx.data").stat().st_size > 10_000

    init(apart / "m.onnx", "swath", classes=("ship",), scaling=parse_scaling("none"))

    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == ["mlm.json", "model.onnx"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bands": ("gray",)}, "takes 3 bands, but --bands names 1"),
        ({"classes": None}, "name the classes"),
        ({"scaling": None}, "give --scaling"),
        ({"tile_size": 32}, "takes tiles of 64 px, not 32 px"),
        ({"overlap": 64}, "cannot overlap"),
        ({"hyperparameters": {"head": "detr"}}, "the head detr reads 2"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_left(init, tmp_path, change, reason):
    path = export(tmp_path / "m.onnx", {"rows": ["batch", 5, ROWS]})
    options = {"classes": ("ship",), "scaling": parse_scaling("none")} | change

    with pytest.raises((InputError, PackageError), match=reason):
        init(path, "swath", **options)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_folder_that_is_there_is_left_alone(init, tmp_path):
    (tmp_path / "made").mkdir()

    with pytest.raises(InputError, match="already exists"):
        init(export(tmp_path / "m.onnx", {"rows": ["batch", 5, ROWS]}), "swath", classes=("a",))


def test_weights_of_two_networks_are_refused(init, tmp_path):
    torch = pytest.importorskip("torch")
    shape = {"rows": ["batch", 5, ROWS]}
    path = export(tmp_path / "m.onnx", shape)

    class Other(torch.nn.Module):
        def forward(self, image):
            return torch.sigmoid(image.mean((1, 2, 3)))[:, None, None].expand(-1, 5, 84)

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Other()), tmp_path / "m.pt")

    with pytest.raises(PackageError, match=r"model\.pt \(torch\): its outputs differ"):
        init([path, tmp_path / "m.pt"], "swath", classes=("ship",), scaling=parse_scaling("none"))
    assert not (tmp_path / "made").exists()


def test_a_checkpoint_is_refused_with_the_command_to_run(init, tmp_path):
    with pytest.raises(PackageError, match=r"yolo export model=best\.pt format=onnx"):
        init(checkpoint(tmp_path / "best.pt", trap=tmp_path / "sprung"), "ultralytics")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["absent.onnx", "notes.txt"])
def test_what_is_no_weights_file(init, tmp_path, name):
    (tmp_path / "notes.txt").write_text("not weights")

    with pytest.raises(PackageError, match=f"{name}"):
        init(tmp_path / name, "smp")


def test_ultralytics_torchscript_says_what_it_is(init, tmp_path):
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):
        def forward(self, image):
            rows = torch.arange(ROWS) % 8 * 8.0 + 4
            box = torch.stack([rows, rows.flip(0), rows * 0 + 9, rows * 0 + 8])[None]
            score = torch.sigmoid(image.mean((1, 2, 3)))[:, None, None]
            return torch.cat([box + 0 * score, score.expand(-1, 1, ROWS)], 1)

    notes = {"task": "detect", "names": {"0": "ship"}, "imgsz": [SIZE, SIZE]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Network(), torch.rand(1, 3, SIZE, SIZE))
        torch.jit.save(
            traced,
            tmp_path / "best.torchscript",
            _extra_files={"config.txt": json.dumps(notes)},
        )

    made = init(tmp_path / "best.torchscript", "ultralytics")

    assert (made.tile_size, made.classes) == (SIZE, ("ship",))
    assert [w.name for w in made.weights] == ["model.pt"]


def test_real_weights_in_three_formats(data, init, tmp_path):
    pytest.importorskip("torch")
    folder = data / "models"
    weights = [folder / f"ships_5band_256.{suffix}" for suffix in ("onnx", "torchscript.pt", "pt2")]

    made = init(
        weights,
        "swath",
        bands=("B02", "B03", "B04", "B08", "B11"),
        classes=("ship",),
        scaling=parse_scaling("none"),
    )

    assert [w.format for w in made.weights] == ["onnx", "torchscript", "pt2"]
    assert made.tile_size == 256


def test_noise_within_the_range_of_a_band():
    item = build_item()
    item["properties"]["mlm:input"][0]["value_scaling"] = [
        msgspec.to_builtins(MinMax(minimum=100.0, maximum=300.0))
    ]
    tile = noise(parse_description(json.dumps(item).encode()), seed=0)

    assert tile.shape == (1, 16, 16)
    assert tile.min() >= 100
    assert tile.max() <= 300
    assert np.ptp(tile) > 150
