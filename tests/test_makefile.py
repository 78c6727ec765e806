"""Check that each target of the Makefile installs all packages that it runs, by the lock.

Imports are read from the source: those of the target's own folders, and those of the modules of
swath that these folders load.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "demo": ["local_cloud", "infra", "lambdas", "batch_jobs", "sagemaker_jobs/serve_model"],
    "test": [
        *("tests", "local_cloud", "infra", "lambdas", "batch_jobs", "sagemaker_jobs"),
        "mutation",
        "examples",
    ],
    # The benchmarks start the model server.
    "bench": ["benchmarks", "sagemaker_jobs/serve_model"],
}
OURS = {
    "swath",
    "infra",
    "local_cloud",
    "batch_jobs",
    "lambdas",
    "sagemaker_jobs",
    "benchmarks",
    "mutation",
    "examples",
    "tests",
}
TORCH = "torch"
"""Beside the lock; `tools/get_torch` installs it where a target calls that."""

OTHER_NAMES = {"cv2": ["opencv-python"], "odc": ["odc-stac"]}
"""Distributions of modules whose names differ from theirs; the tests' environment lacks them."""


def names_in(tree: ast.AST, *, late: bool) -> Iterator[str]:
    """Yield the modules that source imports; `late`: also those that its functions import."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if not late:
                continue
            case _:
                yield from names_in(node, late=late)


def source_of(module: str) -> Path | None:
    """Return the file of a module of this repository."""
    place = Path(*module.split("."))
    for folder in (ROOT / "src", ROOT):
        for path in (folder / place.with_suffix(".py"), folder / place / "__init__.py"):
            if path.is_file():
                return path
    return None


def imports_of(folders: list[str]) -> dict[str, str]:
    """Return the top-level modules from elsewhere, and a file that imports each."""
    waiting = [(path, True) for folder in folders for path in (ROOT / folder).rglob("*.py")]
    seen, found = {path for path, _ in waiting}, {}
    while waiting:
        path, late = waiting.pop()
        for name in names_in(ast.parse(path.read_text()), late=late):
            if path.with_name(f"{name.partition('.')[0]}.py").is_file():
                # A script finds the modules beside it; they are in the same folder of a target.
                continue
            if (own := source_of(name)) is not None:
                if own not in seen:
                    seen.add(own)
                    waiting.append((own, False))
            elif (top := name.partition(".")[0]) not in OURS | sys.stdlib_module_names:
                found.setdefault(top, str(path.relative_to(ROOT)))
    return found


def installed_by(target: str) -> set[str]:
    """Return the distributions that a target's stamp installs, by the Makefile and the lock."""
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(rf"^\$\(VENV\)/\.{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
    packages = {p["name"]: p for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    groups = packages["swath"]["dev-dependencies"]
    waiting = [*packages["swath"]["dependencies"]]
    waiting += [entry for name in re.findall(r"--group (\S+)", recipe) for entry in groups[name]]
    seen = set()
    while waiting:
        entry = waiting.pop()
        wanted = (entry["name"], *entry.get("extra", ()))
        if wanted not in seen:
            seen.add(wanted)
            package = packages[entry["name"]]
            waiting += package.get("dependencies", [])
            for extra in wanted[1:]:
                waiting += package.get("optional-dependencies", {}).get(extra, [])
    return {name for name, *_ in seen} | ({TORCH} if "get_torch" in recipe else set())


@pytest.mark.parametrize("target", FOLDERS)
def test_a_target_installs_all_that_it_imports(target):
    distributions = packages_distributions() | OTHER_NAMES
    installed = installed_by(target)

    missing = {
        module: path
        for module, path in imports_of(FOLDERS[target]).items()
        if not {d.lower().replace("_", "-") for d in distributions.get(module, [module])}
        & installed
    }

    assert missing == {}


def test_what_a_target_lacks_is_found():
    """Check that a missing package is reported, such as what serving needs in the benchmarks."""
    imports = imports_of(FOLDERS["bench"])

    assert imports["uvicorn"].startswith("sagemaker_jobs/serve_model/")
    assert "rasterio" in imports
    assert "moto" not in imports
    assert "moto" not in installed_by("bench")
    assert {"uvicorn", "sahi", "torch"} <= installed_by("bench")


def node_of(version, folder):
    """Have `node --version` answer, and run the check of the Makefile's two versions."""
    node = folder / "node"
    node.write_text(f"#!/bin/sh\necho {version}\n")
    node.chmod(0o755)
    return subprocess.run(
        ["make", "--silent", "node"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("version", "code", "says"),
    [
        ("v18.20.8", 2, "The CDK needs Node.js 22 or newer; here is v18.20.8"),
        ("v20.20.2", 0, "Node.js v20.20.2 is no longer maintained"),
        ("v22.12.0", 0, ""),
        ("v24.1.0", 0, ""),
    ],
)
def test_an_old_node_is_named_in_one_line(tmp_path, version, code, says):
    checked = node_of(version, tmp_path)

    lines = [line for line in checked.stderr.splitlines() if not line.startswith("make")]
    assert checked.returncode == code
    assert len(lines) == (1 if says else 0)
    assert says in checked.stderr
    assert checked.stdout == ""


def test_every_file_names_the_same_node():
    maintained = re.search(r"MIN_MAINTAINED_NODE := (\d+)", (ROOT / "Makefile").read_text())[1]

    assert f"Node.js {maintained} or newer" in (ROOT / "README.md").read_text()
    assert f"Node.js {maintained} |" in (ROOT / "docs" / "deploying.md").read_text()
    for name in ("package.json", "package-lock.json"):
        package = json.loads((ROOT / name).read_text())
        package = package.get("packages", {"": package})[""]
        assert package["engines"] == {"node": f">={maintained}"}
