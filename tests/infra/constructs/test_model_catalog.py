from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from swath.models.packing import package_digest


def catalog(stack: Any) -> dict[str, dict[str, str]]:
    """The catalog as it is deployed."""
    uri = stack.one("AWS::Lambda::Function", "StartRunFunction")["Environment"]["Variables"][
        "SWATH_CATALOG_URI"
    ]["Fn::Sub"]
    return json.loads((stack.folder / f"asset.{uri.rsplit('/', 1)[1]}").read_text())


def test_every_folder_is_a_model_with_the_digest_of_its_files(dev: Any, models_dir: Path):
    entries = catalog(dev)

    assert set(entries) == {"ships", "storage-tanks"}
    for name, entry in entries.items():
        assert entry["digest"] == package_digest(models_dir / name)
        # Relative to the catalog's bucket.
        assert "/" not in entry["uri"]
        assert package_digest(staged(dev, entry)) == entry["digest"]


def staged(stack: Any, entry: dict[str, str]) -> Path:
    """Return what is uploaded as the package of an entry."""
    assets = json.loads(next(stack.folder.glob("*.assets.json")).read_text())["files"].values()
    (path,) = (
        asset["source"]["path"]
        for asset in assets
        for destination in asset["destinations"].values()
        if destination["objectKey"] == entry["uri"]
    )
    return stack.folder / path


def test_the_functions_may_read_every_package(dev: Any):
    ((resource, actions),) = (
        (resource, actions)
        for resource, actions in dev.permissions("PlanSceneRole").items()
        if "cdk-assets" in resource
    )

    assert actions == {"s3:GetObject"}
    for entry in catalog(dev).values():
        assert fnmatch(entry["uri"], resource.rsplit("/", 1)[1])


def test_the_template_names_every_package(dev: Any):
    """`cdk gc` deletes an asset whose key, up to its first point, stands in no template."""
    template = json.dumps(dev.json)

    for entry in catalog(dev).values():
        assert entry["uri"].partition(".")[0] in template


def test_an_archive_is_deployed_as_it_is(synthesize: Any, dev: Any, tmp_path: Path):
    packed = staged(dev, catalog(dev)["ships"])
    (tmp_path / "ships.tar.gz").write_bytes(packed.read_bytes())
    (tmp_path / "README.md").write_text("not a model")
    (tmp_path / ".cache").mkdir()

    entries = catalog(synthesize(models_dir=str(tmp_path)))

    assert entries == {"ships": catalog(dev)["ships"]}
