"""Tests of every function: its environment and its position in the network."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest

from infra.images import ROOT
from swath.models.packing import MAX_PACKAGE_BYTES
from swath.settings import (
    DatabaseSettings,
    FindCauseSettings,
    InvokeEndpointSettings,
    PlanSettings,
    PrepareDatabaseSettings,
    PublishSettings,
    ResumeRunSettings,
    StartRunSettings,
    SubmitShardSettings,
    WatchDeliveriesSettings,
)

SETTINGS = {
    "StartRun": StartRunSettings,
    "WatchDeliveries": WatchDeliveriesSettings,
    "PlanScene": PlanSettings,
    "InferShard": None,
    "MergeDetections": None,
    "LoadDetections": DatabaseSettings,
    "PublishResults": PublishSettings,
    "UpdateCatalog": PublishSettings,
    "FindCause": FindCauseSettings,
    "RecordFailure": DatabaseSettings,
    "PrepareDatabase": PrepareDatabaseSettings,
    "MigrateDatabase": DatabaseSettings,
    "InvokeEndpointRealtime": InvokeEndpointSettings,
    "InvokeEndpointServerless": InvokeEndpointSettings,
    "SubmitShard": SubmitShardSettings,
    "ResumeRun": ResumeRunSettings,
}
# One folder, a function for each endpoint.
FOLDERS = dict.fromkeys(("InvokeEndpointRealtime", "InvokeEndpointServerless"), "invoke_endpoint")
INSIDE = {"LoadDetections", "RecordFailure", "MigrateDatabase"}


def snake(name: str) -> str:
    """`PlanScene` as its folder is named."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def function(stack: Any, name: str) -> dict[str, Any]:
    return stack.one("AWS::Lambda::Function", f"{name}Function")


def test_every_function_is_looked_at_here(everything: Any):
    ours = [n for n in everything.resources("AWS::Lambda::Function") if not n.startswith("AWSCDK")]

    assert len(ours) == len(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_function_finds_its_settings_in_its_environment(everything: Any, name: str):
    variables = function(everything, name)["Environment"]["Variables"]
    # What is known at deployment only is text by the time that a function reads it.
    env = {key: value if isinstance(value, str) else "5432" for key, value in variables.items()}
    kind = SETTINGS[name]

    ours = {key for key in env if key.startswith("SWATH_")}
    assert ours == (set(kind.from_env(env).to_env()) if kind else set())
    assert env["POWERTOOLS_SERVICE_NAME"] == FOLDERS.get(name, snake(name))
    assert env["POWERTOOLS_METRICS_NAMESPACE"] == "swath"


@pytest.mark.parametrize("name", SETTINGS)
def test_only_functions_that_need_the_database_are_in_the_network(everything: Any, name: str):
    config = function(everything, name).get("VpcConfig")

    assert (config is not None) == (name in INSIDE)
    if config:
        assert all("isolated" in subnet["Ref"] for subnet in config["SubnetIds"])
        (group,) = config["SecurityGroupIds"]
        assert group["Fn::GetAtt"][0].startswith("NetworkDatabaseClients")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_function_is_traced_and_fits_a_new_account(everything: Any, name: str):
    properties = function(everything, name)

    assert properties["TracingConfig"] == {"Mode": "Active"}
    assert properties["Architectures"] == ["x86_64"]
    assert properties["MemorySize"] <= 3008
    assert "ReservedConcurrentExecutions" not in properties
    assert properties["LoggingConfig"]["LogGroup"]["Ref"].startswith(f"{name}Logs")


def test_the_largest_package_has_room_where_it_is_read(everything: Any):
    """Its archive to describe it; to infer with it, what is unpacked as well."""
    room = {
        name: function(everything, name)["EphemeralStorage"]["Size"] * 2**20
        for name in ("PlanScene", "InferShard")
    }

    assert room["PlanScene"] > 1.1 * MAX_PACKAGE_BYTES
    assert 2.2 * MAX_PACKAGE_BYTES < room["InferShard"] <= 10 * 2**30


@pytest.mark.parametrize("name", SETTINGS)
def test_an_image_holds_its_functions_with_their_packages(everything: Any, name: str):
    properties = function(everything, name)
    image = properties["Code"]["ImageUri"]["Fn::Sub"].rsplit(":", 1)[1]
    assets = json.loads(next(everything.folder.glob("*.assets.json")).read_text())
    source = assets["dockerImages"][image]["source"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folder = FOLDERS.get(name, snake(name))

    assert folder in source["dockerBuildArgs"]["FUNCTIONS"].split()
    assert source["dockerBuildArgs"]["EXTRA"] in extras["optional-dependencies"]
    assert (everything.folder / source["directory"] / "lambdas" / folder / "handler.py").is_file()
    assert properties["ImageConfig"] == {"Command": [f"lambdas.{folder}.handler.handler"]}
    assert source["platform"] == "linux/amd64"
