"""Synthesize the CDK app, and reuse an assembly whose inputs have not changed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from local_cloud.errors import LocalCloudError

ROOT = Path(__file__).resolve().parents[1]
ASSEMBLIES_FOLDER = ROOT / "build" / "assemblies"
# Inputs of the app, apart from the models: its own code, the content of the images, its settings.
INPUTS = (
    "batch_jobs",
    "cdk.json",
    "infra",
    "lambdas",
    "pyproject.toml",
    "sagemaker_jobs",
    "src",
    "uv.lock",
)
_MAX_ASSEMBLIES = 6


def synthesize(
    context: Mapping[str, str] | None = None,
    *,
    assemblies: Path = ASSEMBLIES_FOLDER,
    app: Sequence[str] = ("-m", "infra.app"),
    root: Path | None = None,
) -> Path:
    """Return the folder of a checkout's assembly, synthesized if necessary.

    A folder is named after a digest of its inputs and never changes. A cloud that runs from one is
    therefore not disturbed by a newer one.

    Args:
        context: Context values as for `cdk deploy -c`, such as `swath:endpoints`.
        assemblies: Folder of all assemblies.
        app: Arguments of Python that run the app.
        root: Folder of the checkout; None: this one.

    Raises:
        LocalCloudError: Node.js is missing, or the app failed; the message has its last line.
    """
    assemblies.mkdir(parents=True, exist_ok=True)
    context = dict(context or {})
    context_json = json.dumps(context, sort_keys=True)
    inputs = {*INPUTS, context.get("swath:models_dir", "models")}
    root = root or ROOT
    target = assemblies / _hash_inputs(root, inputs, context_json)
    with _lock_file(assemblies / ".lock"):
        if not (target / "manifest.json").is_file():
            _run_app(app, target, context_json, root)
            _prune(assemblies, keep=target)
        os.utime(target)
    return target


def _run_app(app: Sequence[str], target: Path, context: str, root: Path) -> None:
    if not shutil.which(os.environ.get("JSII_NODE", "node")):
        raise LocalCloudError(
            "the CDK needs Node.js, and `node` is not on the PATH: "
            "install Node.js, as README describes"
        )
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as folder:
        output = Path(folder, "cdk.out")
        process = subprocess.run(
            [sys.executable, *app],
            cwd=root,
            env={
                **os.environ,
                **_CDK_ENVIRONMENT,
                "CDK_OUTDIR": str(output),
                "CDK_CONTEXT_JSON": context,
                "PYTHONPATH": str(root / "src"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            last = (process.stderr or process.stdout).strip().splitlines()[-1:]
            raise LocalCloudError(
                f"the CDK app failed: {' '.join(last) or 'no output'}; `npx cdk synth` shows the "
                "whole error"
            )
        output.rename(target)


# The lint step validates the template; here, validation would cost seconds.
_CDK_ENVIRONMENT = {
    # The local cloud offers every region's instance types.
    "CDK_DEFAULT_REGION": "",
    "CDK_DISABLE_CLI_TELEMETRY": "true",
    "CDK_VALIDATION": "false",
    "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
    "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
    "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
}


def _hash_inputs(root: Path, inputs: Iterable[str], context: str) -> str:
    """Return a digest of the context and of the files below `inputs`, without Python's caches."""
    digest = hashlib.sha256(context.encode())
    for path in sorted(_iter_files(root, inputs)):
        digest.update(f"{os.path.relpath(path, root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _iter_files(root: Path, inputs: Iterable[str]) -> Iterator[Path]:
    for name in inputs:
        path = root / name
        paths = path.rglob("*") if path.is_dir() else [path]
        yield from (f for f in paths if f.is_file() and "__pycache__" not in f.parts)


def _prune(assemblies: Path, *, keep: Path) -> None:
    others = [path for path in assemblies.iterdir() if path.is_dir() and path != keep]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_MAX_ASSEMBLIES - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
