import json
from pathlib import Path

import pytest
from stac_model.schema import MLModelProperties

from swath.errors import PackageError
from swath.models.class_names import MAX_NAME_CHARACTERS
from swath.models.mlm import MAX_BANDS, MAX_HREF_CHARACTERS, parse_description
from swath.models.mlm_output import MAX_CLASSES, MAX_GSD_M
from swath.models.nms_options import NmsOptions
from swath.models.package import describe_package
from swath.models.scaling import Clip, Scale
from swath.raster.assets.stack import BandNeeds
from tests.helpers.packages import description


def parse(change=None):
    return parse_description(json.dumps(description(change)).encode())


def set_input(**values):
    return lambda item: item["properties"]["mlm:input"][0].update(values)


def set_structure(**values):
    return lambda item: item["properties"]["mlm:input"][0]["input"].update(values)


def set_output(**values):
    return lambda item: item["properties"]["mlm:output"][0].update(values)


def set_hyper(**values):
    return lambda item: item["properties"]["mlm:hyperparameters"].update(values)


def both(*changes):
    return lambda item: [change(item) for change in changes]


def set_asset(**values):
    return lambda item: item["assets"]["onnx"].update(values)


def test_what_the_description_says():
    model = parse()

    assert (model.name, model.bands, model.classes) == ("bright", ("gray",), ("dot",))
    assert (model.tile_size, model.overlap, model.batch_size) == (16, 4, 4)
    assert (model.score_threshold, model.matching, model.box_format) == (
        0.5,
        NmsOptions(),
        "cxcywh",
    )
    assert model.scaling == (Scale(value=100.0),)
    assert [(w.name, w.format, w.sha256) for w in model.weights] == [("model.onnx", "onnx", None)]


def test_what_a_package_asks_of_a_scenes_bands():
    needs = parse(set_hyper(gsd=10, gsd_tolerance=0.2, resampling="cubic")).band_needs

    assert needs == BandNeeds(("gray",), gsd=10, gsd_tolerance=0.2, resampling="cubic")
    assert parse().band_needs == BandNeeds(("gray",))
    assert parse().band_needs.resampling == "bilinear"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"gsd": 0}, r"> 0.*mlm:hyperparameters\.gsd"),
        ({"gsd": -10}, r"> 0.*mlm:hyperparameters\.gsd"),
        ({"gsd": MAX_GSD_M + 1}, r"<= 100000.*mlm:hyperparameters\.gsd"),
        ({"gsd": "10 m"}, r"float.*mlm:hyperparameters\.gsd"),
        ({"gsd_tolerance": 1}, r"< 1.*mlm:hyperparameters\.gsd_tolerance"),
        ({"gsd_tolerance": -0.1}, r">= 0.*mlm:hyperparameters\.gsd_tolerance"),
        ({"resampling": "lanczos"}, r"'lanczos'.*mlm:hyperparameters\.resampling"),
    ],
)
def test_a_resolution_that_cannot_be_is_refused(options, reason):
    with pytest.raises(PackageError, match=f"(?i){reason}.*correct the file"):
        parse(set_hyper(**options))


def test_one_scaling_serves_all_bands():
    model = parse(
        lambda item: (
            item["properties"]["mlm:input"][0].update(
                bands=["a", {"name": "b"}],
                value_scaling=[{"type": "clip", "minimum": 0, "maximum": 1}],
            ),
            item["properties"]["mlm:input"][0]["input"].update(shape=[-1, 2, 16, 16]),
        )
    )

    assert model.bands == ("a", "b")
    assert model.scaling == (Clip(minimum=0.0, maximum=1.0),) * 2


@pytest.mark.parametrize("given", [None, [None]])
def test_no_scaling(given):
    assert parse(set_input(value_scaling=given)).scaling == (None,)


def test_the_tile_size_where_the_input_leaves_it_open():
    def change(item):
        properties = item["properties"]
        properties["mlm:input"][0]["input"]["shape"] = [-1, 1, -1, -1]
        properties["mlm:hyperparameters"]["tile_size"] = 512

    assert parse(change).tile_size == 512


def test_the_bands_may_be_counted_by_their_names_only():
    assert parse(set_structure(shape=[-1, -1, 16, 16])).bands == parse().bands


SHIPS = json.loads(
    (Path(__file__).resolve().parents[3] / "models" / "ships" / "mlm.json").read_text()
)


def test_what_the_training_scenes_were_like():
    """Check the statistics under the names that published packages have."""
    stated = SHIPS["properties"]["swath:statistics"]

    expected = parse_description(json.dumps(SHIPS).encode()).expected

    assert (expected.scenes, expected.low, expected.high) == (
        stated["scenes"],
        stated["low"],
        stated["high"],
    )
    assert [profile.percentiles for profile in expected.profiles] == [
        profile["percentiles"] for profile in stated["profiles"]
    ]


@pytest.mark.parametrize("name", ["low", "high", "profiles"])
def test_statistics_of_other_bands_are_refused(name):
    statistics = {**SHIPS["properties"]["swath:statistics"]}
    statistics[name] = statistics[name][:-1] if name != "profiles" else []
    item = {**SHIPS, "properties": {**SHIPS["properties"], "swath:statistics": statistics}}

    with pytest.raises(PackageError, match="swath:statistics is incomplete, or not of 5 bands"):
        parse_description(json.dumps(item).encode())


def test_the_package_of_these_tests_is_valid_by_the_standard():
    properties = {k: v for k, v in description()["properties"].items() if k.startswith("mlm:")}

    assert MLModelProperties.model_validate(properties).name == "bright"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (set_input(value_scaling=[None, None, None]), "1 bands .gray. and 3 value_scaling"),
        (set_input(value_scaling=[{"type": "scale", "value": 0}]), "divides by zero"),
        (set_input(value_scaling=[{"type": "z-score", "mean": 1, "stddev": 0}]), "divides by zero"),
        (
            set_input(value_scaling=[{"type": "min-max", "minimum": 3, "maximum": 3}]),
            "divides by zero",
        ),
        (
            set_input(value_scaling=[{"type": "z-score", "mean": 0, "stddev": 1e-40}]),
            "scales 16-bit values beyond float32",
        ),
        (set_input(value_scaling=[{"type": "offset", "value": 1e300}]), "beyond float32"),
        (
            both(
                set_input(value_scaling=[{"type": "scale", "value": 0.01}]),
                set_hyper(fill_value=-1e38),
            ),
            "fill_value -1e.38 exceeds float32 once Scale",
        ),
        (
            set_input(
                value_scaling=[{"type": "processing", "format": "gdal-calc", "expression": "A"}]
            ),
            "processing",
        ),
        (set_input(bands=[]), "takes 1 bands and names 0"),
        (set_structure(shape=[-1, 5, 16, 16]), "takes 5 bands and names 1"),
        (set_structure(shape=[-1, 1, 16, 32]), "32 x 16 px"),
        (set_structure(shape=[-1, 1, -1, -1]), "give the tile size in one"),
        (set_structure(dim_order=["batch", "height", "width", "bands"]), "axes"),
        (set_structure(data_type="uint8"), "uint8"),
        (set_hyper(tile_size=32), "tile_size is 32"),
        (set_hyper(box_format="polygon"), "Invalid enum value 'polygon'"),
        (set_hyper(overlap=16), "cannot overlap by 16"),
        (set_hyper(overlap=-1), "overlap"),
        (set_hyper(score_threshold=1.5), "score_threshold"),
        (set_output(**{"classification:classes": []}), "at least one class"),
        (
            set_output(**{"classification:classes": [{"name": "a"}, {"name": "a"}]}),
            "give at least one class, unique names",
        ),
        (
            set_output(**{"classification:classes": [{"name": "a"}, {"name": "b"}]}),
            r"\[.batch., 6, any\]: 4 numbers of a cxcywh box and 2 scores",
        ),
        (
            lambda item: item["properties"].update({"mlm:tasks": ["singing"]}),
            r"mlm:tasks names the tasks \['singing'\]; swath runs .* object-detection",
        ),
        (set_output(tasks=["similarity-search"]), r"names the tasks \[.similarity-search.\]"),
        (lambda item: item["properties"]["mlm:input"].append({}), "mlm:input"),
        (
            lambda item: item["properties"]["mlm:input"].append(item["properties"]["mlm:input"][0]),
            "2 entries",
        ),
        (lambda item: item["properties"].pop("mlm:hyperparameters"), "mlm:hyperparameters"),
        (lambda item: item.pop("assets"), "assets"),
        (set_asset(roles=["metadata"]), "role mlm:model"),
        (set_asset(href="model.h5"), r"model\.h5 has a format that"),
        (set_asset(href="../model.onnx"), "inside the package"),
        (set_asset(href="/model.onnx"), "inside the package"),
        (set_asset(href="https://example.com/model.onnx"), "inside the package"),
        (set_asset(**{"file:checksum": "1114" + "0" * 40}), "SHA2-256 multihash"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(change, named):
    with pytest.raises(PackageError, match=named):
        parse(change)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_no_description_is_refused(text):
    with pytest.raises(PackageError, match=r"^mlm\.json: "):
        parse_description(text)


@pytest.mark.parametrize(
    "change",
    [
        {"low": []},
        {"low": [[1, 2]]},
        {"high": [[1, 2, 3], [1, 2, 3]]},
        {"profiles": []},
        {"profiles": [{"percentiles": [[1, 2, 3]]}] * 3},
        {"profiles": [{"percentiles": [[1, 2, 3]], "roughness": [1.0]}]},
        {"profiles": [{"percentiles": [[1, 2, 3]], "contrasts": [1.0]}]},
    ],
)
def test_statistics_that_are_incomplete_are_refused(change):
    known = {"scenes": 2, "low": [[1, 2, 3]], "high": [[1, 2, 3]]}
    known["profiles"] = [{"percentiles": [[1, 2, 3]]}]

    def add(item):
        item["properties"]["swath:statistics"] = known

    assert parse_description(json.dumps(description(add)).encode()).expected.scenes == 2
    known |= change
    with pytest.raises(PackageError, match="swath:statistics is incomplete, or not of 1 bands"):
        parse_description(json.dumps(description(add)).encode())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-be"])
def test_a_description_may_be_saved_in_any_unicode(encoding):
    assert parse_description(json.dumps(description()).encode(encoding)) == parse()


@pytest.mark.parametrize("text", [b"\xff", b"\xff\xfe{", b'{"properties": ' + b"[" * 100_000])
def test_what_no_parser_survives_is_refused(text):
    with pytest.raises(PackageError, match=r"mlm\.json: "):
        parse_description(text)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\0b", "contains a control character"),
        ("a\tb", "contains a control character"),
        ("\u2003", "is empty"),
    ],
)
def test_names_of_classes_that_no_database_takes_are_refused(name, message):
    change = set_output(**{"classification:classes": [{"name": name, "value": 0}]})

    with pytest.raises(PackageError, match=rf"classes names '.*', which {message}; rename it"):
        parse(change)


def test_a_models_name_holds_no_control_character():
    with pytest.raises(PackageError, match=r"mlm:name is 'a\\x00b', which contains"):
        parse(lambda item: item["properties"].update({"mlm:name": "a\0b"}))


def test_two_classes_that_look_alike_are_refused():
    alike = [{"name": "quay", "value": 0}, {"name": " quay", "value": 1}]

    with pytest.raises(PackageError, match="which look the same"):
        parse(set_output(**{"classification:classes": alike}))


def of_bands(names):
    """Return a description of a model of these bands."""

    def change(item):
        source = item["properties"]["mlm:input"][0]
        source["bands"] = names
        source["input"]["shape"][1] = -1
        source.pop("value_scaling", None)

    return change


def test_bands_are_counted():
    names = [f"b{number}" for number in range(MAX_BANDS)]
    assert parse(of_bands(names)).bands == tuple(names)

    with pytest.raises(PackageError, match="mlm:input names 1025 bands; the maximum is 1024"):
        parse(of_bands([*names, "more"]))


def test_names_of_bands_have_the_limits_of_other_names():
    assert parse(of_bands(["b" * MAX_NAME_CHARACTERS]))

    for name, words in (
        ("b" * 256, "has 256 characters; the maximum is 255"),
        ("a\nb", "a control"),
    ):
        with pytest.raises(PackageError, match="mlm:input bands names '") as caught:
            parse(of_bands([name]))
        assert words in str(caught.value)


def test_names_of_classes_are_cut_where_they_are_refused():
    def named(length):
        return set_output(**{"classification:classes": [{"name": "c" * length, "value": 0}]})

    assert parse(named(MAX_NAME_CHARACTERS))
    with pytest.raises(PackageError, match="has 256 characters; the maximum is 255"):
        parse(named(MAX_NAME_CHARACTERS + 1))
    with pytest.raises(PackageError) as caught:
        parse(named(1_000_000))
    assert len(str(caught.value)) < 300


def test_classes_are_counted():
    def named(count):
        def change(item):
            (output,) = item["properties"]["mlm:output"]
            output["classification:classes"] = [
                {"name": f"c{number}", "value": number} for number in range(count)
            ]
            output["result"]["shape"] = [-1, 4 + count, 256]

        return change

    assert len(parse(named(MAX_CLASSES)).classes) == MAX_CLASSES
    with pytest.raises(PackageError, match="names 10001 classes; swath takes 10000 at most"):
        parse(named(MAX_CLASSES + 1))


def test_names_of_weights_are_short():
    def named(length):
        def change(item):
            (asset,) = item["assets"].values()
            asset["href"] = "w" * (length - 5) + ".onnx"
            asset.pop("file:checksum", None)

        return change

    assert parse(named(MAX_HREF_CHARACTERS))
    with pytest.raises(PackageError, match="has 1025 characters; the maximum is 1024"):
        parse(named(MAX_HREF_CHARACTERS + 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item["properties"]["mlm:input"][0]["input"].update(data_type="x" * 10**6),
        lambda item: item["properties"].update({"mlm:tasks": ["t" * 10**6]}),
        lambda item: item["properties"]["mlm:input"][0]["input"].update(dim_order=["d" * 10**6]),
        set_output(**{"classification:classes": [{"name": "c" * 10**6, "value": 0}] * 2}),
    ],
    ids=["type of numbers", "task", "axes", "classes"],
)
def test_what_a_description_says_is_not_quoted_at_length(tmp_path, change):
    (tmp_path / "mlm.json").write_text(json.dumps(description(change)))

    with pytest.raises(PackageError) as caught:
        describe_package(tmp_path)

    assert len(str(caught.value)) < 1200 + len(str(tmp_path))
