"""Locate PostgreSQL and PostGIS on this machine; fetch them from a Debian archive if necessary."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from local_cloud.errors import LocalCloudError
from local_cloud.postgis.packages import DEBIAN_RELEASE, unpack

_CONTROL_FILES = "usr/share/postgresql/*/extension/postgis.control"
_SYSTEM_ROOT = Path("/")
_REMEDY = (
    "set SWATH_POSTGIS_SERVER to a PostgreSQL server that has PostGIS, for example "
    "postgresql://postgres@127.0.0.1:5432/postgres, or install the packages postgresql and "
    "postgis yourself"
)


@dataclass(frozen=True, slots=True)
class Installation:
    """PostgreSQL with PostGIS, in the system or unpacked in its own folder."""

    root: Path
    version: str

    @property
    def programs(self) -> Path:
        """Folder of `initdb` and `postgres`."""
        return self.root / "usr/lib/postgresql" / self.version / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the programs; unpacked ones need the path of PROJ's grids beside them."""
        variables = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        if self.root == _SYSTEM_ROOT:
            return variables
        proj = str(self.root / "usr/share/proj")
        return variables | {"PROJ_LIB": proj, "PROJ_DATA": proj}


def cache_folder() -> Path:
    """Return the folder of files that are fetched once, by default `$XDG_CACHE_HOME/swath`.

    For root, it is `/var/cache/swath` if other users cannot access the default: PostgreSQL refuses
    to run as root.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    default = (Path(base) if base else Path.home() / ".cache").resolve()
    if os.geteuid() == 0 and not is_open_to_others(default):
        return Path("/var/cache/swath")
    return default / "swath"


def is_open_to_others(folder: Path) -> bool:
    """Return whether every user can access a folder; its missing parts can be created so."""
    existing = (path for path in (folder, *folder.parents) if path.exists())
    return all(path.stat().st_mode & 0o001 for path in existing)


def find_or_install() -> Installation:
    """Return Aurora's version of PostgreSQL from the cache, fetched if necessary, or the system's.

    Raises:
        LocalCloudError: PostGIS is missing and cannot be fetched; the message names the remedy.
    """
    unpacked = cache_folder() / f"postgresql-{DEBIAN_RELEASE}"
    if installation := find_installation(unpacked):
        return installation
    _print(f"fetching PostgreSQL and PostGIS into {unpacked} (about 15 s, no root) …")
    try:
        unpack(unpacked)
    except LocalCloudError as error:
        return _use_system_installation(str(error))
    if installation := find_installation(unpacked):
        return installation
    return _use_system_installation(f"the packages in {unpacked} contain no PostGIS")


def find_installation(root: Path) -> Installation | None:
    """Return the newest PostgreSQL with PostGIS below `root`; None if there is none."""
    for control in sorted(
        root.glob(_CONTROL_FILES), key=lambda p: _parse_version(p.parts[-3]), reverse=True
    ):
        installation = Installation(root, control.parts[-3])
        if (installation.programs / "initdb").exists():
            return installation
    return None


def _use_system_installation(reason: str) -> Installation:
    """Return the system's PostgreSQL in place of Aurora's version, and print a warning."""
    installation = find_installation(_SYSTEM_ROOT)
    if installation is None:
        raise LocalCloudError(
            f"PostGIS is not installed and cannot be fetched: {reason}: {_REMEDY}"
        )
    _print(f"WARNING: this is PostgreSQL {installation.version}, not Aurora's version: {reason}")
    return installation


def _parse_version(version: str) -> float:
    return float(version) if version.replace(".", "", 1).isdigit() else 0.0


def _print(message: str) -> None:
    sys.stderr.write(f"PostGIS: {message}\n")
    sys.stderr.flush()
