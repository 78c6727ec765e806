import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import InputError
from swath.training.options import MAX_OPTION_BYTES, TrainOptions, read_options


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"epochs": "3"}, {"epochs": 3}),
        ({"learning_rate": "1e-3"}, {"learning_rate": 0.001}),
        ({"network": "unet"}, {"network": "unet"}),
        ({"network": '"unet"'}, {"network": "unet"}),
        ({"bands": "red,green"}, {"bands": ["red", "green"]}),
        ({"bands": '["B02"]'}, {"bands": ["B02"]}),
        ({"bands": "4,3"}, {"bands": ["4", "3"]}),
        ({"class_weights": "1, 2"}, {"class_weights": [1.0, 2.0]}),
        ({"class_weights": "balanced"}, {"class_weights": "balanced"}),
        ({"minutes": "null"}, {"minutes": None}),
        ({"channels_last": "false"}, {"channels_last": False}),
        ({"network.stride": "1"}, {"network_options": {"stride": 1}}),
    ],
)
def test_hyperparameters_are_strings(given, wanted):
    known = TrainOptions.from_strings(given).to_json()

    assert {name: known[name] for name in wanted} == wanted


def test_options_of_augmentation_have_types_of_their_own():
    options = TrainOptions.from_strings({"augment.scale": "[0.5, 2]", "augment.flips": "false"})

    assert options.augment.scale == (0.5, 2.0)
    assert not options.augment.flips


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("network", "yolo", "choose one of detector, unet"),
        ("epochs", "0", "int >= 1"),
        ("epochs", "ten", "expected int"),
        ("epochs", "2.5", "expected int"),
        ("tile_size", "100", "multiple of 16"),
        ("learning_rate", "Infinity", "expected float"),
        ("learning_rate", "NaN", "expected float"),
        ("ema_decay", "1", "float < 1"),
        ("name", "Ships!", "matching regex"),
        ("class_weights", "0,1", "float > 0"),
        ("augment.gain", "3", "float <= 2"),
        ("channels_last", "yes", "expected bool"),
    ],
)
def test_a_fault_names_the_option_its_value_and_what_is_allowed(key, text, says):
    with pytest.raises(InputError, match=key) as caught:
        TrainOptions.from_strings({key: text})

    assert text in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize("key", ["epoch", "network.", "network_options", "augment", "augment.flip"])
def test_options_that_there_are_not_are_refused(key):
    with pytest.raises(InputError, match=f"no option '{key}'.*The options are name, network"):
        TrainOptions.from_strings({key: "1"})


def test_a_near_name_is_suggested():
    with pytest.raises(InputError, match="did you mean batch_size"):
        TrainOptions.from_strings({"batchsize": "1"})


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(InputError, match="overlap is 64; it must be less than tile_size, 64"):
        TrainOptions.from_strings({"tile_size": "64"})


def test_files_are_json_or_toml_and_changes_come_after_them(tmp_path):
    (tmp_path / "o.toml").write_text("epochs = 5\n[network_options]\nstride = 1\n")
    (tmp_path / "o.json").write_text(json.dumps({"epochs": 5, "network.stride": 1}))

    read = [
        read_options(str(tmp_path / name), ["epochs=7", "network.depth=2"])
        for name in ("o.toml", "o.json")
    ]

    assert read[0] == read[1]
    assert read[0].epochs == 7
    assert read[0].network_options == {"stride": 1, "depth": 2}


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "neither JSON"), ("[]", "has a list"), ('{"epochs": "5"}', "epochs is '5'")],
)
def test_a_wrong_file_is_named(tmp_path, text, says):
    path = tmp_path / "o.json"
    path.write_text(text)

    with pytest.raises(InputError, match=says) as caught:
        read_options(str(path))

    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"options file .*o\.json does not exist"):
        read_options(str(tmp_path / "o.json"))


@pytest.mark.parametrize("change", ["epochs", "=3"])
def test_a_change_is_a_key_and_a_value(change):
    with pytest.raises(InputError, match="write key=value"):
        read_options(None, [change])


def test_the_digest_is_of_what_the_outcome_depends_on():
    plain = TrainOptions()

    assert plain.replaced({"workers": "7", "checkpoint_seconds": "1"}).digest == plain.digest
    assert plain.replaced({"seed": "1"}).digest != plain.digest


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 1000),
            "learning_rate": st.floats(1e-9, 1e3),
            "patience": st.integers(0, 50),
            "keep": st.sampled_from(["best", "last"]),
            "bands": st.lists(st.text("abc", min_size=1, max_size=3), max_size=4),
            "score_threshold": st.none() | st.floats(0, 1),
        },
    )
)
def test_options_survive_as_json_and_as_strings(values):
    options = TrainOptions.from_values(values)
    strings = {key: json.dumps(value) for key, value in values.items()}

    assert TrainOptions.from_values(options.to_json()) == options
    assert TrainOptions.from_strings(strings) == options


@given(crops=st.integers(1, 100), batch=st.integers(1, 20), accumulate=st.integers(1, 4))
def test_steps_see_all_crops_of_an_epoch(crops, batch, accumulate):
    options = TrainOptions(crops=crops, batch_size=batch, accumulate=accumulate, epochs=2)

    seen = options.steps_per_epoch * batch * accumulate

    assert crops <= seen < crops + batch * accumulate
    assert options.steps == 2 * options.steps_per_epoch


@pytest.mark.parametrize("name", ["options.json", "options.toml"])
def test_a_file_of_options_has_a_limit(tmp_path, name):
    text = '{"epochs": 3}' if name.endswith("json") else "epochs = 3"
    path = tmp_path / name
    path.write_text(text.ljust(MAX_OPTION_BYTES))
    assert read_options(str(path)).epochs == 3

    path.write_text(text.ljust(MAX_OPTION_BYTES + 1))
    with pytest.raises(InputError, match=rf"{name} has more than 1 MiB"):
        read_options(str(path))


@pytest.mark.parametrize(("name", "start"), [("o.json", '{"a":'), ("o.toml", "a = ")])
def test_options_that_are_nested_without_end_are_refused(tmp_path, name, start):
    (tmp_path / name).write_text(start + "[" * 100_000)

    with pytest.raises(InputError, match="it is nested too deeply"):
        read_options(str(tmp_path / name))
