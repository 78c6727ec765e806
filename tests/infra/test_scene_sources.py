"""Tests of the allowed sources of scenes: their check, their grants and their environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.scene_sources import check_sources
from swath.errors import SettingsError

LANDSAT = "s3://usgs-landsat/collection02/level-2?region=us-west-2&requester_pays=true"
SOURCES = (LANDSAT, "s3://our-archive/", "https://data.example.org/cogs/")
READERS = (
    "StartRunRole",
    "PlanSceneRole",
    "InferShardRole",
    "InferShardJobRole",
    "ServeServerlessRole",
    "ServeAsyncRole",
    "ServeRealtimeRole",
)


@pytest.fixture(scope="module")
def stack(synthesize: Callable[..., Any]) -> Any:
    return synthesize(
        scene_sources=",".join(SOURCES), endpoints="realtime, async, serverless", training="true"
    )


def external(permissions: dict[str, set[str]]) -> dict[str, set[str]]:
    return {
        resource: actions
        for resource, actions in permissions.items()
        if "usgs-landsat" in resource or "our-archive" in resource
    }


@pytest.mark.parametrize("role", READERS)
def test_readers_of_scenes_may_read_the_prefixes_and_nothing_else(stack: Any, role: str):
    granted = external(stack.permissions(role))

    assert [
        (resource.rpartition(":::")[2], actions) for resource, actions in sorted(granted.items())
    ] == [
        ("our-archive/*", {"s3:GetObject"}),
        ("usgs-landsat/collection02/level-2/*", {"s3:GetObject"}),
    ]


def test_no_other_role_may_read_them(stack: Any):
    names = [
        name
        for name, policy in stack.resources("AWS::IAM::Policy").items()
        if "usgs-landsat" in json.dumps(policy)
    ]

    assert len(names) == len(READERS)
    assert all(name.startswith(READERS) for name in names)


def test_arns_have_the_partition_of_the_stack(stack: Any):
    for policy in stack.resources("AWS::IAM::Policy", "PlanSceneRole").values():
        assert '"arn:aws:s3:::usgs' not in json.dumps(policy)


@pytest.mark.parametrize("function", ["StartRunFunction", "PlanSceneFunction"])
def test_functions_that_read_documents_know_the_sources(stack: Any, function: str):
    variables = stack.one("AWS::Lambda::Function", function)["Environment"]["Variables"]

    assert variables["SWATH_SCENE_SOURCES"]["Fn::Join"][1][-1] == "/," + ",".join(SOURCES)


def test_without_sources_nothing_is_granted(dev: Any):
    for role in READERS:
        for resource in dev.permissions(role):
            assert ":::" not in resource or "cdk" in resource, resource


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("ftp://host/", "scheme"),
        ("/data/scenes/", "local folder"),
        ("s3://bucket/a*/", "would expand"),
        ("s3://bucket/${aws:username}/", "would expand"),
        ("s3://bucket/a,b/", "comma"),
        ("s3:///", "bucket"),
        ("s3://bucket/?pays=true", "options"),
        ("s3://bucket/?region=moon", "options"),
        ("https://host/?region=us-west-2", "options"),
        ("s3://bucket/" + "a" * 1000 + "/", ""),
    ],
)
def test_a_source_that_cannot_be_granted_is_refused(source: str, reason: str):
    if not reason:
        with pytest.raises(SettingsError, match="more than 2,000 characters"):
            check_sources([source] * 2)
        return
    with pytest.raises(SettingsError, match=reason):
        check_sources([source])
