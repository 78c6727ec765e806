from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import typing
from typing import Any

import pytest
from aws_cdk import App

from infra.images import ROOT
from infra.pipeline import LOG_RETENTION
from infra.settings import DeploySettings, LogDays
from swath.errors import SettingsError


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("stage", "prod", "dev, production"),
        ("backend", "cloud", "auto, lambda, batch, sagemaker-realtime"),
        ("backend", "local", "auto, lambda, batch, sagemaker-realtime"),
        ("lambda_max_tiles", 0, "int >= 1"),
        ("lambda_max_tiles", "many", "int"),
        ("gpu_max_vcpus", 2, "int >= 4"),
        ("spot_bid_percentage", 101, "int <= 100"),
        ("tolerated_failures", 1.5, "float <= 1.0"),
        ("score_threshold", "2", "float <= 1.0"),
        ("database_max_acu", 1.3, "multiple of 0.5"),
        ("log_retention_days", 31, "30, 60"),
        ("name", "my stack", "regex"),
        ("gpu_instance_types", 5, "array"),
        ("endpoints", ["batch"], "realtime, async, serverless"),
        ("endpoint_instance_type", "g5.xlarge", "regex"),
        ("serverless_memory_mib", 3000, "multiple of 1024"),
        ("serverless_max_concurrency", 201, "int <= 200"),
        ("training", "maybe", "bool"),
    ],
)
def test_a_bad_value_is_refused_with_its_key_and_what_is_allowed(
    key: str, value: Any, allowed: str
):
    with pytest.raises(SettingsError) as caught:
        DeploySettings.from_values({key: value})

    message = str(caught.value)
    assert f"'{key}' is {value!r}" in message
    assert allowed in message.partition("allowed is")[2]


def test_an_unknown_key_is_refused_with_those_that_there_are():
    with pytest.raises(SettingsError, match=r"'stages'.* stage, "):
        DeploySettings.from_values({"stages": "dev"})


def test_the_database_cannot_have_a_minimum_above_its_maximum():
    with pytest.raises(SettingsError, match="'database_min_acu' is 8"):
        DeploySettings.from_values({"database_min_acu": 8})


@pytest.mark.parametrize("kind", ["realtime", "async", "serverless"])
def test_a_backend_without_its_endpoint_is_refused_with_the_remedy(kind: str):
    backend = f"sagemaker-{kind}"
    others = [other for other in ("realtime", "async", "serverless") if other != kind]

    with pytest.raises(SettingsError, match=f"add '{kind}' to 'endpoints', which has {others[0]}"):
        DeploySettings.from_values({"backend": backend, "endpoints": others})
    assert DeploySettings.from_values({"backend": backend, "endpoints": [kind]}).backend == backend


def test_no_endpoint_may_be_wanted():
    assert DeploySettings.from_values({"endpoints": ""}).endpoints == ()


def test_a_mistyped_setting_of_the_command_line_is_refused():
    app = App(context={"swath:stagee": "production", "@aws-cdk/core:x": True})

    with pytest.raises(SettingsError, match="unknown deploy setting 'stagee'; the settings"):
        DeploySettings.from_node(app.node)


def test_the_command_line_overrides_cdk_json_and_gives_text():
    app = App(
        context={
            "swath": {"stage": "dev", "lambda_max_tiles": 10},
            "swath:stage": "production",
            "swath:gpu_max_vcpus": "64",
            "swath:gpu_instance_types": "g5, g6.xlarge",
            "swath:tolerated_failures": "0.25",
            "swath:score_threshold": "0.4",
            "swath:endpoints": "realtime, async",
            "swath:training": "true",
        }
    )

    settings = DeploySettings.from_node(app.node)

    assert settings == DeploySettings(
        stage="production",
        lambda_max_tiles=10,
        gpu_max_vcpus=64,
        gpu_instance_types=("g5", "g6.xlarge"),
        tolerated_failures=0.25,
        score_threshold=0.4,
        endpoints=("realtime", "async"),
        training=True,
    )
    assert settings.retain


def test_cdk_json_has_settings_that_are_accepted():
    context = json.loads((ROOT / "cdk.json").read_text())["context"]

    assert DeploySettings.from_values(context["swath"]) == DeploySettings()


def test_every_setting_is_documented_with_its_default():
    page = (ROOT / "docs/deploying.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", page, re.MULTILINE))

    for field in dataclasses.fields(DeploySettings):
        default = field.default if isinstance(field.default, tuple) else (field.default,)
        assert rows[field.name].replace("`", "").strip() == ", ".join(map(str, default))


def test_every_allowed_log_retention_is_one_that_cloudwatch_has():
    assert set(LOG_RETENTION) == set(typing.get_args(LogDays))


def test_settings_are_refused_before_the_cdk_is_started():
    program = (
        "import infra.app, os, sys; infra.app.check_settings(os.environ)\n"
        "print('aws_cdk' in sys.modules)"
    )

    def check(**context: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "src"),
                "CDK_CONTEXT_JSON": json.dumps(context),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    refused = check(**{"swath:models_dir": "absent"})
    assert "SettingsError: the deploy setting 'models_dir' is 'absent'" in refused.stderr
    assert check(**{"swath:stage": "production"}).stdout == "False\n"
