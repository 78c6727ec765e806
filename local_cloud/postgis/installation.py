"""Where PostgreSQL and PostGIS are on this machine; fetched from Debian's archive if need be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local_cloud.errors import LocalCloudError

_CONTROL = "usr/share/postgresql/*/extension/postgis.control"
_SYSTEM = Path("/")
_OVERRIDE = (
    "set SWATH_DATABASE_URL to a PostgreSQL server that has PostGIS, for example "
    "postgresql://postgres@127.0.0.1:5432/postgres, or install the packages postgresql and "
    "postgis yourself"
)


@dataclass(frozen=True, slots=True)
class Installation:
    """PostgreSQL with PostGIS, in the system or unpacked in a folder of its own."""

    root: Path
    version: str

    @property
    def programs(self) -> Path:
        """The folder of `initdb` and `postgres`."""
        return self.root / "usr/lib/postgresql" / self.version / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """What the programs need to find the libraries that were unpacked beside them."""
        found = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        if self.root == _SYSTEM:
            return found
        libraries = ":".join(str(p) for p in sorted(self.root.glob("usr/lib/*-linux-gnu*")))
        proj = str(self.root / "usr/share/proj")
        return found | {"LD_LIBRARY_PATH": libraries, "PROJ_LIB": proj, "PROJ_DATA": proj}


def cache_folder() -> Path:
    """Where things are kept that are fetched once: `$XDG_CACHE_HOME/swath` or `~/.cache/swath`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "swath"


def find_or_install() -> Installation:
    """PostGIS on this machine, installed by apt as root, or unpacked into the cache otherwise.

    Raises:
        LocalCloudError: it is not there and cannot be fetched; the message says what to do.
    """
    unpacked = cache_folder() / "postgis"
    if found := find(_SYSTEM) or find(unpacked):
        return found
    if shutil.which("apt-get") is None:
        raise LocalCloudError(f"PostGIS is not installed and there is no apt-get here: {_OVERRIDE}")
    if os.geteuid() == 0:
        _install()
        found = find(_SYSTEM)
    else:
        _unpack(unpacked)
        found = find(unpacked)
    if found is None:
        raise LocalCloudError(f"the packages hold no PostGIS for PostgreSQL: {_OVERRIDE}")
    return found


def find(root: Path) -> Installation | None:
    """The newest PostgreSQL with PostGIS below `root`."""
    for control in sorted(root.glob(_CONTROL), key=lambda p: _number(p.parts[-3]), reverse=True):
        installation = Installation(root, control.parts[-3])
        if (installation.programs / "initdb").exists():
            return installation
    return None


def _number(version: str) -> float:
    return float(version) if version.replace(".", "", 1).isdigit() else 0.0


def _install() -> None:
    _say("installing PostGIS with apt-get (about 20 s) …")
    # Without this file the package starts a server of its own, on port 5432, that nobody asked for.
    settings = Path("/etc/postgresql-common/createcluster.conf")
    if not settings.exists():
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text("create_main_cluster = false\n", encoding="utf-8")
    _apt("update")
    _apt("install", "--yes", "--no-install-recommends", "postgresql", _metapackage())


def _metapackage() -> str:
    """Debian's name of the newest PostGIS for its PostgreSQL, such as `postgresql-15-postgis-3`."""
    found = _output("apt-cache", "search", "--names-only", r"^postgresql-[0-9]+-postgis-[0-9]+$")
    names = sorted(
        (line.split()[0] for line in found.splitlines() if line.strip()),
        key=lambda name: tuple(int(part) for part in name.split("-") if part.isdigit()),
    )
    if not names:
        raise LocalCloudError(f"apt knows no package postgresql-*-postgis-*: {_OVERRIDE}")
    return names[-1]


def _unpack(target: Path) -> None:
    package = _metapackage()
    server = package.split("-postgis-", maxsplit=1)[0]
    client = server.replace("postgresql-", "postgresql-client-")
    wanted = {package, f"{package}-scripts", server, client, *_libraries(package, server)}
    _say(f"unpacking {package} and {len(wanted) - 1} more packages into {target} (no root) …")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".postgis-") as folder:
        debs, root = Path(folder, "debs"), Path(folder, "root")
        debs.mkdir()
        _run(["apt-get", "download", "--quiet", *sorted(wanted)], cwd=debs)
        for deb in sorted(debs.glob("*.deb")):
            _run(["dpkg", "--extract", str(deb), str(root)], cwd=debs)
        _link_controls(root)
        root.rename(target)


def _libraries(*packages: str) -> set[str]:
    """The libraries that packages need and the system lacks."""
    needed = _output(
        *("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests"),
        *("--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", *packages),
    )
    names = {line for line in needed.splitlines() if line and not line.startswith((" ", "<"))}
    there = set(_output("dpkg-query", "--show", "--showformat=${Package}\n").split())
    libraries = {name.split(":")[0] for name in names if name.startswith(("lib", "proj-data"))}
    # The compiler of PostgreSQL's queries is a third of all, and turned off in our server.
    return {name for name in libraries - there if not name.startswith(("libllvm", "libz3"))}


def _link_controls(root: Path) -> None:
    """Do what the package does on installation: `postgis-3.control` is the extension `postgis`."""
    for control in root.glob("usr/share/postgresql/*/extension/*-3.control"):
        link = control.with_name(control.name.replace("-3.control", ".control"))
        if not link.exists():
            link.symlink_to(control.name)


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "--quiet", *arguments], env=environment)


def _run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise LocalCloudError(f"{' '.join(command[:3])} failed: {' / '.join(last)}: {_OVERRIDE}")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _say(what: str) -> None:
    sys.stderr.write(f"PostGIS: {what}\n")
    sys.stderr.flush()
