"""Check the stack without an AWS account: `python -m infra.check`.

Each stage is checked by cdk-nag's AwsSolutions rules and the CDK's own rules, by cfn-lint on the
template, and by asl-validator on the state machines. One of the stages has everything that settings
can add. hadolint checks the Dockerfiles once.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra.app import build_app
from infra.images import ROOT
from infra.settings import CONTEXT_KEY

# Settings of each checked stage: none, and everything that settings can add.
STAGE_SETTINGS: dict[str, dict[str, object]] = {
    "dev": {},
    "production": {
        "stage": "production",
        "endpoints": ["realtime", "async", "serverless"],
        "training": True,
        "data_buckets": ["training-data"],
        "scene_sources": ["s3://usgs-landsat/collection02/?region=us-west-2&requester_pays=true"],
    },
}
DOCKERFILES = sorted(
    str(path.relative_to(ROOT))
    for part in ("lambdas", "batch_jobs", "sagemaker_jobs")
    for path in (ROOT / part).rglob("*Dockerfile")
)
# W3005: the CDK declares dependencies explicitly that CloudFormation would infer.
_CFN_LINT = ("--ignore-checks", "W3005", "--")

log = logging.getLogger("infra.check")


def main() -> int:
    """Run every check, even if another one fails; return 0 if all passed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with tempfile.TemporaryDirectory(prefix="swath-check-") as folder:
        results = [*check_dockerfiles(), *check_stages(Path(folder))]
    return 0 if all(results) else 1


def check_dockerfiles() -> Iterator[bool]:
    """Check the Dockerfiles by hadolint with its default rules; yield whether it passed."""
    yield _run_check("hadolint", [_tool_path("hadolint"), *DOCKERFILES])


def check_stages(folder: Path) -> Iterator[bool]:
    """Check the template of each stage; yield whether each check passed.

    Args:
        folder: Folder for the cloud assemblies.
    """
    for stage, settings in STAGE_SETTINGS.items():
        out = folder / stage
        context = {f"{CONTEXT_KEY}:{key}": value for key, value in settings.items()}
        yield from check_app(build_app(str(out), context), out, stage)


def check_app(app: App, out: Path, stage: str) -> Iterator[bool]:
    """Check the template of an app's only stack.

    Args:
        app: App that is not synthesized yet.
        out: Folder of the app's cloud assembly.
        stage: Name of the app in the log.

    Yields:
        Whether a check passed.
    """
    if not synthesize(app, stage):
        yield False
        return
    template = next(out.glob("*.template.json"))
    yield _run_check(f"cfn-lint ({stage})", [_tool_path("cfn-lint"), *_CFN_LINT, str(template)])
    for name, machine in state_machines(json.loads(template.read_text())).items():
        definition = out.parent / f"{stage}-{name}.asl.json"
        definition.write_text(json.dumps(machine))
        yield check_state_machine(definition, f"{stage}, {name}")


def synthesize(app: App, stage: str) -> bool:
    """Write the cloud assembly; return False if it breaks a rule, which the CDK then reports."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" not in str(error):
            raise
        log.info("cdk-nag (%s): FAILED", stage)
        return False
    log.info("cdk-nag (%s): ok", stage)
    return True


def check_state_machine(definition: Path, stage: str) -> bool:
    """Check by asl-validator that every state has a next state and its type's required fields."""
    validator = str(ROOT / "node_modules/.bin/asl-validator")
    return _run_check(f"asl-validator ({stage})", [validator, "--json-path", str(definition)])


def state_machine(template: dict[str, Any]) -> dict[str, Any]:
    """Return the definition of the state machine of runs."""
    machines = state_machines(template).items()
    return next(machine for name, machine in machines if name.endswith("-runs"))


def state_machines(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the state machines' definitions by name, with placeholders for deploy-time values."""
    properties = (
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    )
    return {
        machine["StateMachineName"]: json.loads(_resolve_references(machine["DefinitionString"]))
        for machine in properties
    }


def _resolve_references(value: Any) -> str:
    match value:
        case {"Ref": "AWS::Partition"}:
            return "aws"
        case {"Ref": name}:
            return str(name)
        case {"Fn::GetAtt": [name, _]}:
            return f"arn:aws:lambda:eu-west-1:123456789012:function:{name}"
        case {"Fn::Select": _}:
            return "part-of-a-name"
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(map(_resolve_references, parts))
        case _:
            return str(value)


def _tool_path(name: str) -> str:
    """Return the path of a command from this environment's packages."""
    return str(Path(sys.executable).with_name(name))


def _run_check(name: str, command: list[str]) -> bool:
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own tools
    if completed.returncode == 0:
        log.info("%s: ok", name)
        return True
    log.info("%s: FAILED\n%s%s", name, completed.stdout, completed.stderr)
    return False


if __name__ == "__main__":
    sys.exit(main())
