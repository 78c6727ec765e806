"""Fixtures of the stack's tests: the template, synthesized once for all tests of a stage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template

from infra import grants
from infra.app import build_app
from infra.check import state_machine


@dataclass(frozen=True)
class Synthesized:
    """A stage's template."""

    json: dict[str, Any]
    template: Template
    folder: Path

    def resources(self, kind: str, prefix: str = "") -> dict[str, dict[str, Any]]:
        """Properties of the resources of a type whose logical id starts with a prefix."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.json["Resources"].items()
            if resource["Type"] == kind and name.startswith(prefix)
        }

    def one(self, kind: str, prefix: str = "") -> dict[str, Any]:
        """Properties of the only such resource."""
        (properties,) = self.resources(kind, prefix).values()
        return properties

    def permissions(self, prefix: str) -> dict[str, set[str]]:
        """Return what the roles with this prefix may do: resource → actions.

        Logs, traces and network interfaces, which are the same everywhere, are left out.
        """
        found: dict[str, set[str]] = {}
        for policy in self.resources("AWS::IAM::Policy", prefix).values():
            for statement in policy["PolicyDocument"]["Statement"]:
                assert statement["Effect"] == "Allow"
                for resource in _listed(statement["Resource"]):
                    actions = {
                        action
                        for action in _listed(statement["Action"])
                        if action.split(":")[0] not in {"logs", "xray", "ec2"}
                    }
                    if actions:
                        found.setdefault(self._short(resource), set()).update(actions)
        return found

    @property
    def machine(self) -> dict[str, Any]:
        """The state machine's definition."""
        return state_machine(self.json)

    def _short(self, resource: Any) -> str:
        text = grants._flatten_references(resource).replace("arn:<AWS::Partition>:", "")
        for pattern, name in (
            ("cdk-hnb659fds-assets-<AWS::AccountId>-<AWS::Region>", "cdk-assets"),
            (
                "cdk-hnb659fds-container-assets-<AWS::AccountId>-<AWS::Region>",
                "cdk-container-assets",
            ),
            ("<AWS::Region>:<AWS::AccountId>:", ""),
            ("[0-9a-f]{64}[.]json", "catalog.json"),
            # The hash at the end of logical ids.
            (r"(?<=\w)[0-9A-F]{8}(?=[.>])", ""),
        ):
            text = re.sub(pattern, name, text)
        return text


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two things that the deployment accepts as packages."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("ships", "storage-tanks"):
        (folder / name).mkdir()
        (folder / name / "mlm.json").write_text(json.dumps({"id": name}))
    return folder


@pytest.fixture(scope="session")
def quick_cdk() -> Iterator[None]:
    """Without the CDK's own checks, which `make lint` runs: they take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDK_VALIDATION", "false")
        patch.setenv("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
        patch.delenv("CDK_CONTEXT_JSON", raising=False)
        patch.delenv("CDK_DEFAULT_REGION", raising=False)
        yield


@pytest.fixture(scope="session")
def synthesize(
    quick_cdk: None, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Synthesized]:
    """Synthesize with some deploy settings."""

    def run(**settings: Any) -> Synthesized:
        folder = tmp_path_factory.mktemp("cdk")
        context = {"models_dir": str(models_dir), **settings}
        build_app(str(folder), {f"swath:{name}": value for name, value in context.items()}).synth()
        (path,) = folder.glob("*.template.json")
        template = json.loads(path.read_text())
        return Synthesized(template, Template.from_json(template), folder)

    return run


@pytest.fixture(scope="session")
def dev(synthesize: Callable[..., Synthesized]) -> Synthesized:
    """The stack as `cdk deploy` without flags makes it."""
    return synthesize()


@pytest.fixture(scope="session")
def everything(synthesize: Callable[..., Synthesized]) -> Synthesized:
    """The stack with all that settings can add to it."""
    return synthesize(
        endpoints="realtime, async, serverless", training="true", data_buckets="my-data"
    )


@pytest.fixture(scope="session")
def production(synthesize: Callable[..., Synthesized]) -> Synthesized:
    """The stack as it is for production."""
    return synthesize(stage="production", notification_email="ops@example.org")
