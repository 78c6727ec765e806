import dataclasses
import json

import pystac
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stac_model.schema import MLModelProperties

from swath.errors import PackageError
from swath.models.mlm import parse_description
from swath.models.output_spec import HEAD_ACTIVATIONS
from swath.models.package import load_package
from swath.models.scaling import Clip, ClipMax, ClipMin, MinMax, Offset, Scale, ZScore
from swath.packaging.write_mlm import PackageOutput, PackageSpec, write_description

ROWS = PackageOutput(name="pred", shape=(-1, 6, 336), axes=("batch", "channel", "candidate"))
SPEC = PackageSpec(
    name="boats",
    architecture="YOLO11",
    task="object-detection",
    bands=("red", "green", "blue"),
    scaling=(Scale(value=255.0),),
    tile_size=128,
    overlap=32,
    outputs=(ROWS,),
    classes=("ship", "buoy"),
    hyperparameters={"score_threshold": 0.25, "box_format": "cxcywh"},
    weights=("model.onnx",),
    parameters=12,
    properties={"license": "Apache-2.0", "title": "Boats"},
)
numbers = st.floats(-1e4, 1e4, allow_nan=False).map(lambda number: round(number, 3))
positive = st.floats(0.001, 1e4).map(lambda number: round(number, 3))
scalings = st.one_of(
    st.none(),
    st.builds(lambda low, more: MinMax(minimum=low, maximum=low + more), numbers, positive),
    st.builds(ZScore, mean=numbers, stddev=positive),
    st.builds(Clip, minimum=numbers, maximum=numbers),
    st.builds(ClipMin, minimum=numbers),
    st.builds(ClipMax, maximum=numbers),
    st.builds(Offset, value=numbers),
    st.builds(Scale, value=positive),
)
words = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"weights")
    return tmp_path


@st.composite
def rows(draw, classes):
    """Return the options and the output of a box model, with columns last or not."""
    columns = 4 + len(classes)
    last = draw(st.booleans())
    shape = (-1, 336, columns) if last else (-1, columns, 336)
    options = {
        "score_threshold": draw(st.floats(0, 1)),
        "iou_threshold": draw(st.floats(0, 1)),
        "box_format": draw(st.sampled_from(["xyxy", "xywh", "cxcywh"])),
        "output_layout": "channels_last" if last else "channels_first",
        "score_activation": draw(st.sampled_from(HEAD_ACTIVATIONS["rows"])),
        "box_units": draw(st.sampled_from(["px", "normalized"])),
        "fill_value": draw(numbers),
    }
    return options, PackageOutput(name="out", shape=shape, axes=("batch", "a", "b"))


@st.composite
def specs(draw):
    bands = tuple(draw(st.lists(words, min_size=1, max_size=5, unique=True)))
    classes = tuple(draw(st.lists(words, min_size=1, max_size=4, unique=True)))
    options, output = draw(rows(classes))
    every = st.lists(scalings, min_size=len(bands), max_size=len(bands))
    return PackageSpec(
        name=draw(words),
        architecture="any",
        task=draw(st.sampled_from(["object-detection", "detection"])),
        bands=bands,
        scaling=tuple(draw(every | st.lists(scalings, min_size=1, max_size=1))),
        tile_size=draw(st.integers(65, 2048)),
        overlap=draw(st.integers(0, 64)),
        outputs=(output,),
        classes=classes,
        hyperparameters=options,
        weights=("model.onnx",),
        batch_size=draw(st.integers(1, 64)),
    )


@given(spec=specs())
def test_what_was_written_reads_back_to_the_same_meaning(spec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    (folder / "model.onnx").write_bytes(b"weights")
    write_description(folder, spec)

    found = parse_description((folder / "mlm.json").read_bytes())

    for name in ("name", "bands", "tile_size", "overlap", "classes", "batch_size"):
        assert getattr(found, name) == getattr(spec, name)
    every = spec.scaling if len(spec.scaling) > 1 else spec.scaling * len(spec.bands)
    assert found.scaling == every
    options = spec.hyperparameters
    assert found.score_threshold == options["score_threshold"]
    assert found.matching.threshold == options["iou_threshold"]
    assert found.activation == options["score_activation"]
    for name in ("box_format", "output_layout", "box_units", "fill_value"):
        assert getattr(found, name) == options[name]


@given(spec=specs())
def test_it_is_valid_by_the_standard(spec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    (folder / "model.onnx").write_bytes(b"weights")
    write_description(folder, spec)
    item = json.loads((folder / "mlm.json").read_text())

    properties = {k: v for k, v in item["properties"].items() if k.startswith("mlm:")}
    assert MLModelProperties.model_validate(properties).name == spec.name
    assert pystac.Item.from_dict(item).assets["onnx"].href == "model.onnx"


def test_the_package_is_loaded_with_its_checksum_verified(folder):
    write_description(folder, SPEC)

    assert load_package(folder).description.weights[0].sha256
    (folder / "model.onnx").write_bytes(b"changed")
    with pytest.raises(PackageError, match="file:checksum"):
        load_package(folder)


def test_the_same_spec_and_weights_give_the_same_bytes(folder):
    write_description(folder, SPEC)
    first = (folder / "mlm.json").read_bytes()
    write_description(folder, SPEC)

    assert (folder / "mlm.json").read_bytes() == first
    assert [path.name for path in folder.iterdir() if path.name[0] == "."] == []


def test_more_properties_are_the_items(folder):
    write_description(folder, SPEC)

    properties = json.loads((folder / "mlm.json").read_text())["properties"]

    assert (properties["license"], properties["mlm:total_parameters"]) == ("Apache-2.0", 12)


def test_outputs_beside_the_task_are_passed_over(folder):
    beside = PackageOutput(name="map", shape=(-1, 8), axes=("batch", "any"), is_read=False)
    write_description(folder, dataclasses.replace(SPEC, outputs=(beside, ROWS)))

    assert load_package(folder).description.outputs == (None, "rows")


def test_classes_that_count_from_one_say_so(folder):
    labeled = PackageOutput(name="pred", shape=(-1, 300, 6), axes=("batch", "candidate", "channel"))
    options = {
        "score_threshold": 0.25,
        "box_format": "xyxy",
        "head": "labeled",
        "first_label": 1,
        "output_layout": "channels_last",
    }
    write_description(
        folder, dataclasses.replace(SPEC, outputs=(labeled,), hyperparameters=options)
    )

    output = json.loads((folder / "mlm.json").read_text())["properties"]["mlm:output"][0]
    assert [c["value"] for c in output["classification:classes"]] == [1, 2]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weights": ("absent.onnx",)}, r"the weights .*absent\.onnx do not exist"),
        ({"weights": ("model.onnx", "model.onnx")}, "have one format"),
        ({"weights": ("model.bin",)}, r"model\.bin has a format that"),
        ({"scaling": (None, None)}, "3 bands .* and 2 value_scaling"),
        ({"scaling": (Scale(value=0.0),)}, "divides by zero"),
        ({"overlap": 128}, "cannot overlap"),
        ({"classes": ("ship",)}, "has shape"),
        ({"hyperparameters": {"score_threshold": 0.5}}, "box_format"),
    ],
)
def test_what_cannot_be_run_is_not_written(folder, change, reason):
    write_description(folder, SPEC)
    before = (folder / "mlm.json").read_bytes()

    with pytest.raises(PackageError, match=reason):
        write_description(folder, dataclasses.replace(SPEC, **change))
    assert (folder / "mlm.json").read_bytes() == before
