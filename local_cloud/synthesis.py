"""Synthesizing the CDK app; an assembly whose inputs have not changed is used again."""

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
ASSEMBLIES = ROOT / "build" / "assemblies"
# Whatever the app reads, beside the models: its own code, what goes into the images, its settings.
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
_KEPT = 6


def synthesize(
    context: Mapping[str, str] | None = None,
    *,
    assemblies: Path = ASSEMBLIES,
    app: Sequence[str] = ("-m", "infra.app"),
    root: Path | None = None,
) -> Path:
    """Return the folder of the assembly of a checkout.

    Folders are named by what went into them and never change, so that a cloud that runs from one
    is not disturbed by a newer one.

    Args:
        context: what one would give `cdk deploy` with `-c`, such as `swath:endpoints`.
        assemblies: the folder of all assemblies.
        app: the arguments of Python that run the app.
        root: folder of the checkout; by default this one.

    Raises:
        LocalCloudError: there is no Node.js, or the app failed; the message has its last line.
    """
    assemblies.mkdir(parents=True, exist_ok=True)
    context = dict(context or {})
    given = json.dumps(context, sort_keys=True)
    inputs = {*INPUTS, context.get("swath:models_dir", "models")}
    root = root or ROOT
    target = assemblies / _digest(root, inputs, given)
    with _locked(assemblies / ".lock"):
        if not (target / "manifest.json").is_file():
            _run_app(app, target, given, root)
            _prune(assemblies, keep=target)
        os.utime(target)
    return target


def _run_app(app: Sequence[str], target: Path, context: str, root: Path) -> None:
    if not shutil.which(os.environ.get("JSII_NODE", "node")):
        raise LocalCloudError(
            "the CDK needs Node.js, and there is no `node` on the PATH: install it, as README says"
        )
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as folder:
        made = Path(folder, "cdk.out")
        done = subprocess.run(
            [sys.executable, *app],
            cwd=root,
            env={
                **os.environ,
                **_QUIET,
                "CDK_OUTDIR": str(made),
                "CDK_CONTEXT_JSON": context,
                "PYTHONPATH": str(root / "src"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise LocalCloudError(
                f"the CDK app failed: {' '.join(last) or 'it says nothing'}; `npx cdk synth` shows "
                "the rest"
            )
        made.rename(target)


# The template is checked by the lint step; here it costs seconds.
_QUIET = {
    # The local cloud has every region's instance types.
    "CDK_DEFAULT_REGION": "",
    "CDK_DISABLE_CLI_TELEMETRY": "true",
    "CDK_VALIDATION": "false",
    "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
    "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
    "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
}


def _digest(root: Path, inputs: Iterable[str], context: str) -> str:
    """A name for the context and the files below `inputs`, but for caches of Python and tools."""
    digest = hashlib.sha256(context.encode())
    for path in sorted(_files(root, inputs)):
        digest.update(f"{os.path.relpath(path, root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _files(root: Path, inputs: Iterable[str]) -> Iterator[Path]:
    for name in inputs:
        path = root / name
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (f for f in found if f.is_file() and "__pycache__" not in f.parts)


def _prune(assemblies: Path, *, keep: Path) -> None:
    others = [path for path in assemblies.iterdir() if path.is_dir() and path != keep]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
