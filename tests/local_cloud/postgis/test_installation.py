"""Locating PostGIS, and the error without one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg
import pytest
from aws_cdk.aws_rds import AuroraPostgresEngineVersion

from local_cloud.errors import LocalCloudError
from local_cloud.postgis import installation
from local_cloud.postgis.installation import Installation, find_installation, find_or_install
from local_cloud.postgis.packages import DEBIAN_RELEASE
from local_cloud.postgis.server import PostgisServer


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

    assert find_installation(tmp_path) == Installation(tmp_path, "15")


def test_postgis_without_a_server_is_no_installation(tmp_path: Path):
    install(tmp_path, "15")
    (tmp_path / "usr/lib/postgresql/15/bin/initdb").unlink()

    assert find_installation(tmp_path) is None


def test_an_unpacked_installation_uses_its_own_grids(tmp_path: Path):
    install(tmp_path, "15")

    environment = Installation(tmp_path, "15").environment

    assert environment["PROJ_LIB"] == str(tmp_path / "usr/share/proj")
    assert "LD_LIBRARY_PATH" not in environment


@pytest.fixture
def nothing_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without apt: its system's folder."""
    monkeypatch.setattr(installation, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(installation, "_SYSTEM_ROOT", tmp_path / "system")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    return tmp_path / "system"


def test_without_any_postgis_the_remedies_are_named(nothing_cached: Path):
    with pytest.raises(LocalCloudError, match=r"apt-get is not installed.*SWATH_POSTGIS_SERVER"):
        find_or_install()


def test_without_a_download_the_systems_postgis_is_used_with_a_warning(
    nothing_cached: Path, capsys: pytest.CaptureFixture[str]
):
    install(nothing_cached, "15")

    assert find_or_install() == Installation(nothing_cached, "15")
    assert "WARNING: this is PostgreSQL 15, not Aurora's version" in capsys.readouterr().err


def test_a_cached_installation_is_not_fetched_again(nothing_cached: Path):
    install(nothing_cached, "15")
    cached = nothing_cached.parent / "cache" / f"postgresql-{DEBIAN_RELEASE}"
    install(cached, "17")

    assert find_or_install() == Installation(cached, "17")


def test_the_servers_version_is_auroras(postgis_server: PostgisServer):
    """Unless the machine cannot fetch it, which `find_or_install` has said then."""
    installed = find_or_install()
    with psycopg.connect(postgis_server.dsn()) as connection:
        major = connection.info.server_version // 10000

    assert str(major) == installed.version
    if installed.root != Path("/"):
        assert AuroraPostgresEngineVersion.VER_17_7.aurora_postgres_major_version == str(major)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must hand its server to somebody else")
def test_roots_server_is_not_cached_where_only_root_gets_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert installation.cache_folder() == Path("/var/cache/swath")


def test_others_cache_in_their_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert installation.cache_folder() == tmp_path / "swath"
