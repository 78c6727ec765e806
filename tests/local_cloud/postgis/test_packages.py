"""Tests of fetching from a Debian archive; `make postgis` shows that the result runs."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from local_cloud.errors import LocalCloudError
from local_cloud.postgis import packages

DEPENDS = """\
postgresql-17
  PreDepends: libc6
  Depends: libldap2
 |Depends: libicu76
  Depends: <libicu>
  Depends: perl
  Depends: libllvm19
libldap2
  Depends: libc6
  Depends: libsasl2-2
libsasl2-2
libc6:amd64
  Depends: libgcc-s1
libllvm19
  Depends: libz3-4
postgresql-17-postgis-3
  Depends: postgresql-17
  Depends: libgdal36
libgdal36
  Depends: libpoppler147
patchelf
"""


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what the programs of apt print, by the second word of the command."""
    answers: dict[str, str] = {}
    monkeypatch.setattr(packages, "_run_for_output", lambda *words, **_: answers.get(words[1], ""))
    return answers


def test_only_packages_that_the_server_needs_are_fetched(apt: dict[str, str]):
    apt["depends"] = DEPENDS

    assert packages._resolve_dependencies("postgresql-17-postgis-3", {}) == [
        *("libc6", "libgcc-s1", "libicu76", "libldap2", "libsasl2-2"),
        *("patchelf", "postgresql-17", "postgresql-17-postgis-3"),
    ]


def test_the_newest_is_taken(apt: dict[str, str]):
    names = [
        "postgresql-9.6",
        "postgresql-15-postgis-3",
        "postgresql-17-postgis-3",
        "postgresql-18",
    ]
    apt["pkgnames"] = "\n".join(names)

    assert packages._newest_postgis({}) == "postgresql-17-postgis-3"


DEBIAN = "deb [signed-by={}] http://mirror.example/debian trixie main\n".format(
    "/usr/share/keyrings/debian-archive-keyring.gpg"
)


@pytest.mark.parametrize(
    ("system", "sources"),
    [
        ({"ID": "debian", "VERSION_CODENAME": "bookworm"}, [DEBIAN, ""]),
        ({"ID": "ubuntu", "VERSION_CODENAME": "noble"}, [""]),
    ],
)
def test_the_mirror_is_the_machines(
    apt: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    system: dict[str, str],
    sources: list[str],
):
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: system)
    apt["update"] = """\
'http://mirror.example/debian/dists/bookworm/InRelease' mirror_InRelease 0
'http://mirror.example/debian-security/dists/bookworm-security/InRelease' security_InRelease 0
'http://elsewhere.example/dists/nodistro/InRelease' elsewhere_InRelease 0
"""

    assert packages._list_sources() == sources


def test_an_archive_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = f"deb [trusted=yes] file:{tmp_path}/nothing trixie main\n"
    monkeypatch.setattr(packages, "_list_sources", lambda: [source])
    monkeypatch.setattr(packages, "_newest_postgis", lambda _: "")

    with pytest.raises(LocalCloudError, match="nothing"):
        packages._select_archive(tmp_path)


def test_of_two_who_fetch_at_once_the_first_stays(tmp_path: Path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "by").write_text(name)
        packages._move(tmp_path / name, tmp_path / "target")

    assert (tmp_path / "target" / "by").read_text() == "first"
