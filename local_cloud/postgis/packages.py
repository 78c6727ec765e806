"""Fetch PostgreSQL with PostGIS from a Debian archive into its own folder, without root.

The packages come from the release with Aurora's major version, whatever this machine runs; they
include its C library. Nothing is installed: the system's own packages stay unchanged.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from local_cloud.errors import LocalCloudError

# Debian 13 has PostgreSQL 17, the version in `infra.constructs.database`.
DEBIAN_RELEASE = "trixie"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_POSTGIS_PACKAGE = re.compile(r"(postgresql-\d+)-postgis-\d+")
# Libraries for raster support, query compilation and Perl functions: two thirds of the total size.
_EXCLUDED_PACKAGES = re.compile(r"libgdal|libllvm|libsfcgal|libperl|libz3")
_INCLUDED_PACKAGES = re.compile(r"lib|postgresql-\d|proj-data$|patchelf$")
_DELETED_PATHS = ("usr/share/doc", "usr/share/locale", "usr/lib/postgresql/*/lib/bitcode")
_CONFIGURATION = """\
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
"""
_SOURCES = """\
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
"""


def unpack(target: Path) -> None:
    """Fetch the packages and unpack them into `target`, which must not exist.

    Raises:
        LocalCloudError: apt cannot fetch them; the message contains apt's error.
    """
    if shutil.which("apt-get") is None:
        raise LocalCloudError("apt-get is not installed")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".packages-") as name:
        folder, root = Path(name), Path(name, "root")
        environment, package = _select_archive(folder)
        packages = _resolve_dependencies(package, environment)
        debs = folder / "debs"
        debs.mkdir()
        _run("apt-get", "--quiet", "download", *packages, environment=environment, cwd=debs)
        for deb in sorted(debs.glob("*.deb")):
            _run("dpkg-deb", "--extract", str(deb), str(root))
        for pattern in _DELETED_PATHS:
            for path in root.glob(pattern):
                shutil.rmtree(path)
        _link_controls(root)
        _bind_programs(root, target)
        root.chmod(0o755)  # the server may run as another user than the one who unpacked it
        _move(root, target)


def _select_archive(folder: Path) -> tuple[dict[str, str], str]:
    """Return the environment of a private apt that offers PostGIS, and the package's name."""
    reasons = []
    for source in _list_sources():
        environment = _private_apt(folder, source)
        try:
            _run("apt-get", "--quiet", "update", environment=environment)
        except LocalCloudError as error:
            reasons.append(str(error))
        if package := _newest_postgis(environment):
            return environment, package
    raise LocalCloudError(
        "; ".join(reasons) or "no source of apt has a package postgresql-*-postgis-*"
    )


def _list_sources() -> list[str]:
    """Return source lines of the release for this Debian's mirrors; empty: its own sources."""
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian":
        return [""]
    addresses = re.findall(
        rf"'(\S+)/dists/{re.escape(release.get('VERSION_CODENAME', ''))}/InRelease'",
        _run_for_output("apt-get", "update", "--print-uris"),
    )
    lines = [
        f"deb [signed-by={_KEYRING}] {address} {DEBIAN_RELEASE} main\n" for address in addresses
    ]
    return [*lines, ""]


def _private_apt(folder: Path, source: str) -> dict[str, str]:
    """Return the environment of an apt that is confined to `folder`; empty `source`: its own."""
    shutil.rmtree(folder / "state", ignore_errors=True)
    for needed in ("state/lists/partial", "cache/archives/partial"):
        (folder / needed).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(source, encoding="utf-8")
    configuration = _CONFIGURATION + (_SOURCES if source else "")
    path = folder / "apt.conf"
    path.write_text(configuration.format(folder=folder), encoding="utf-8")
    return {**os.environ, "APT_CONFIG": str(path), "LC_ALL": "C"}


def _newest_postgis(environment: Mapping[str, str]) -> str:
    """Return the package of the newest PostGIS for the newest PostgreSQL; empty if none exists."""
    names = _POSTGIS_PACKAGE.finditer(
        _run_for_output("apt-cache", "pkgnames", "postgresql-", env=environment)
    )
    return max((m[0] for m in names), key=_version_key, default="")


def _version_key(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _resolve_dependencies(package: str, environment: Mapping[str, str]) -> list[str]:
    """Return the packages of the server, the extension and `patchelf`, with their dependencies."""
    server = package.split("-postgis-", maxsplit=1)[0]
    output = _run_for_output(
        *("apt-cache", "depends", "--recurse", "--important", server, package, "patchelf"),
        env=environment,
    )
    depends = _parse_dependencies(output)
    waiting, needed = [server, package, "patchelf"], set[str]()
    while waiting:
        name = waiting.pop()
        is_used = _INCLUDED_PACKAGES.match(name) and not _EXCLUDED_PACKAGES.match(name)
        if is_used and name not in needed:
            needed.add(name)
            waiting += depends[name]
    return sorted(needed)


def _parse_dependencies(output: str) -> Mapping[str, list[str]]:
    """Parse the output of `apt-cache depends` by package, with all alternatives."""
    depends, package = defaultdict[str, list[str]](list), ""
    for line in output.splitlines():
        if not line.startswith((" ", "|", "<")):
            package = line.split(":")[0]
        elif match := re.match(r" [ |](?:Pre)?Depends: ([^<\s:]+)", line):
            depends[package].append(match[1])
    return depends


def _link_controls(root: Path) -> None:
    """Link `postgis-3.control` as the extension `postgis`, as the package's installation does."""
    for control in root.glob("usr/share/postgresql/*/extension/*-3.control"):
        link = control.with_name(control.name.replace("-3.control", ".control"))
        if not link.exists():
            link.symlink_to(control.name)


def _bind_programs(root: Path, target: Path) -> None:
    """Make the programs use the C library and other libraries of their packages.

    `LD_LIBRARY_PATH` is unsuitable: it would also affect the system's shell, which `initdb` uses.
    """
    (loader,) = root.glob("usr/lib/*-linux-gnu*/ld-linux-*.so.*")
    libraries = target / loader.parent.relative_to(root)
    patchelf = [str(loader), "--library-path", str(loader.parent), str(root / "usr/bin/patchelf")]
    for program in _programs(root):
        _run(
            *(*patchelf, "--set-interpreter", str(libraries / loader.name)),
            *("--force-rpath", "--set-rpath", str(libraries), str(program)),
        )


def _programs(root: Path) -> Iterator[Path]:
    for name in ("initdb", "postgres"):
        yield from root.glob(f"usr/lib/postgresql/*/bin/{name}")


def _move(root: Path, target: Path) -> None:
    """Move a complete installation to its final path, unless another process has just done so."""
    try:
        root.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _run(
    *command: str, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> None:
    process = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if process.returncode:
        last = (process.stderr or process.stdout).strip().splitlines()[-3:]
        raise LocalCloudError(f"{' '.join(command[:3])} failed: {' / '.join(last)}")


def _run_for_output(*command: str, env: Mapping[str, str] | None = None) -> str:
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout
