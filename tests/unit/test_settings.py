import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath import settings
from swath.errors import SettingsError
from swath.settings import (
    DatabaseSettings,
    EndpointKind,
    EnvSettings,
    PlanSettings,
    StartRunSettings,
    has_gpu,
)

CLASSES = [
    kind
    for kind in vars(settings).values()
    if isinstance(kind, type) and issubclass(kind, EnvSettings) and kind is not EnvSettings
]
VALUES = {
    "str": st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    "int": st.integers(),
    "float": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "tuple[EndpointKind, ...]": st.lists(st.sampled_from(EndpointKind)).map(tuple),
    "tuple[str, ...]": st.lists(
        st.text(st.characters(exclude_characters=",\0", codec="utf-8"), min_size=1)
    ).map(tuple),
    "float | None": st.none() | st.floats(allow_nan=False),
}
SECONDS = st.floats(0, allow_infinity=False, exclude_min=True)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_settings_survive_the_environment(kind: type[EnvSettings], data: st.DataObject):
    fields: dict[str, Any] = {
        f.name: data.draw(SECONDS if f.name == "model_seconds" else VALUES[str(f.type)], f.name)
        for f in dataclasses.fields(kind)
    }

    assert kind.from_env(kind(**fields).to_env()) == kind(**fields)


def test_a_missing_variable_is_named():
    with pytest.raises(SettingsError, match="SWATH_WORK_URI is not set"):
        PlanSettings.from_env({})


def test_a_bad_number_is_named_with_its_value():
    env = {"SWATH_DATABASE_HOST": "db", "SWATH_DATABASE_PORT": "five"}

    with pytest.raises(SettingsError, match="SWATH_DATABASE_PORT is 'five'; expected int"):
        DatabaseSettings.from_env(env)


def test_commas_separate_the_kinds_of_endpoint():
    settings = PlanSettings.from_env({"SWATH_WORK_URI": "w", "SWATH_ENDPOINTS": "realtime,async"})

    assert settings.endpoints == (EndpointKind.REALTIME, EndpointKind.ASYNC)
    assert settings.to_env()["SWATH_ENDPOINTS"] == "realtime,async"
    assert PlanSettings.from_env({"SWATH_WORK_URI": "w", "SWATH_ENDPOINTS": ""}).endpoints == ()


def test_a_kind_of_endpoint_that_there_is_not_is_named_beside_those_that_there_are():
    known = "a comma-separated list of realtime, async, serverless"

    with pytest.raises(SettingsError, match=f"ENDPOINTS is 'async,fast'; expected {known}$"):
        PlanSettings.from_env({"SWATH_WORK_URI": "w", "SWATH_ENDPOINTS": "async,fast"})


def test_a_bad_optional_number_is_named_with_its_type():
    env = {field.name: "" for field in dataclasses.fields(StartRunSettings)}
    given = {f"SWATH_{name.upper()}": "x" for name in env} | {
        "SWATH_TOLERATED_FAILURES": "0",
        "SWATH_DELIVERY_HOURS": "6",
    }

    with pytest.raises(SettingsError, match=r"SWATH_SCORE_THRESHOLD is 'x'; expected float$"):
        StartRunSettings.from_env(given)


def test_defaults_hold_where_a_variable_is_not_set():
    env = {
        "SWATH_STATE_MACHINE_ARN": "arn",
        "SWATH_CATALOG_URI": "s3://b/k",
        "SWATH_DEFAULT_MODEL": "ships",
        "SWATH_WORK_URI": "s3://work",
    }

    read = StartRunSettings.from_env(env)

    assert (read.backend, read.incoming_prefix) == ("auto", "incoming/")


@pytest.mark.parametrize(
    ("instance_type", "gpu"),
    [("ml.g5.xlarge", True), ("ml.g6.2xlarge", True), ("ml.p4d.24xlarge", True),
     ("ml.c7i.xlarge", False), ("ml.m5.large", False)],
)  # fmt: skip
def test_hosts_with_a_gpu_are_known_by_their_type(instance_type, gpu):
    assert has_gpu(instance_type) is gpu
