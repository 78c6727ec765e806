"""Finding PostGIS, and what is said where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from local_cloud.errors import LocalCloudError
from local_cloud.postgis import installation
from local_cloud.postgis.installation import Installation, find, find_or_install


def install(root: Path, version: str) -> None:
    for path in (
        f"usr/share/postgresql/{version}/extension/postgis.control",
        f"usr/lib/postgresql/{version}/bin/initdb",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_the_newest_version_with_postgis_is_taken(tmp_path: Path):
    for version in ("9.6", "15", "17"):
        install(tmp_path, version)
    (tmp_path / "usr/share/postgresql/17/extension/postgis.control").unlink()

    assert find(tmp_path) == Installation(tmp_path, "15")


def test_postgis_without_a_server_is_no_installation(tmp_path: Path):
    install(tmp_path, "15")
    (tmp_path / "usr/lib/postgresql/15/bin/initdb").unlink()

    assert find(tmp_path) is None


def test_an_unpacked_one_finds_its_own_libraries(tmp_path: Path):
    install(tmp_path, "15")
    (tmp_path / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)

    environment = Installation(tmp_path, "15").environment

    assert environment["LD_LIBRARY_PATH"] == str(tmp_path / "usr/lib/x86_64-linux-gnu")
    assert environment["PROJ_LIB"] == str(tmp_path / "usr/share/proj")


def test_where_nothing_can_be_installed_the_remedies_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(installation, "_SYSTEM", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(LocalCloudError, match=r"no apt-get.*SWATH_DATABASE_URL"):
        find_or_install()


def test_a_package_that_cannot_be_fetched_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(installation, "_SYSTEM", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(installation, "_output", lambda *_: "")
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/apt-get")

    with pytest.raises(LocalCloudError, match=r"postgresql-\*-postgis.*SWATH_DATABASE_URL"):
        find_or_install()
