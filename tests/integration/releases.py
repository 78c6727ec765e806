"""Releases of the project: copies of this checkout that differ in something."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from local_cloud.synthesis import INPUTS, ROOT, synthesize

SMALL_MODELS = ROOT / "tests" / "small_models"
LATER = "9999"
LATER_MODEL = "sure-ships"
_LATER_TABLE = "later"
_MIGRATION = f'''
from alembic import op

revision = "{LATER}"
down_revision = "{{last}}"


def upgrade() -> None:
    op.execute("CREATE TABLE swath.{_LATER_TABLE} (id int)")
'''
# Fails for scenes with `fragile` in their name, wherever the shard is inferred.
_FAULT = """    if "fragile" in run.plan.scene.uri:
        raise ZeroDivisionError(run.plan.scene.uri)
"""
_OPENS_RUN = "    run = RunStore.open(plan_uri)\n"


def copy_checkout(folder: Path) -> Path:
    """Return a copy of whatever the CDK app reads."""
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in INPUTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, folder / name)
    return folder


def faulty_release(folder: Path) -> Path:
    """Return the assembly of this checkout with a fault in the code that infers a shard."""
    root = copy_checkout(folder / "faulty")
    code = root / "src" / "swath" / "pipeline" / "shard.py"
    text = code.read_text()
    assert _OPENS_RUN in text
    code.write_text(text.replace(_OPENS_RUN, _OPENS_RUN + _FAULT, 1))
    return _synthesized(root, SMALL_MODELS)


def later_release(folder: Path) -> Path:
    """Return the assembly of this checkout with one more migration and one more model."""
    root = copy_checkout(folder / "later")
    versions = root / "src" / "swath" / "database" / "migrations" / "versions"
    last = max(path.stem[:4] for path in versions.glob("[0-9]*.py"))
    (versions / f"{LATER}_later.py").write_text(_MIGRATION.format(last=last))
    models = folder / "models"
    for name in ("ships", LATER_MODEL):
        shutil.copytree(SMALL_MODELS / "ships", models / name)
    described = models / LATER_MODEL / "mlm.json"
    text = described.read_text()
    assert text.count('"score_threshold": 0.2,') == 1
    described.write_text(text.replace('"score_threshold": 0.2,', '"score_threshold": 0.3,'))
    return _synthesized(root, models)


def broken_release(assembly: Path, folder: Path) -> Path:
    """Return an assembly whose deployment fails when everything else has been deployed."""
    folder.mkdir()
    for path in assembly.iterdir():
        (folder / path.name).symlink_to(path)
    (path,) = folder.glob("*.template.json")
    template = json.loads(path.read_text())
    template["Resources"]["Antenna"] = {
        "Type": "AWS::GroundStation::Config",
        "DependsOn": sorted(template["Resources"]),
    }
    path.unlink()
    path.write_text(json.dumps(template))
    return folder


def _synthesized(root: Path, models: Path) -> Path:
    context = {"swath:endpoints": "serverless", "swath:models_dir": str(models)}
    return synthesize(context, assemblies=root.parent / "assemblies", root=root)
