"""Where packages are unpacked, and what is left of it."""

import signal
import subprocess
import sys
import tempfile

import pytest

from swath import model_cache, packing
from swath.package import load_package


@pytest.fixture(autouse=True)
def shared(tmp_path, monkeypatch):
    """The folder in which packages are unpacked."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def archive(package, tmp_path):
    packing.pack(package, tmp_path / "model.tar.gz")
    return tmp_path / "model.tar.gz"


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_outside_a_command_a_package_is_kept(archive, shared):
    load_package(archive)

    assert files(shared)


def test_a_command_keeps_a_package_until_it_ends(archive, shared):
    with model_cache.temporary():
        first = load_package(archive)
        archive.unlink()
        assert load_package(archive, digest=first.digest).weights == first.weights
        assert files(shared)

    assert not files(shared)


@pytest.mark.parametrize("ending", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_however_a_command_ends(archive, shared, ending):
    def command():
        with model_cache.temporary():
            load_package(archive)
            raise ending

    with pytest.raises(ending):
        command()

    assert not files(shared)
    load_package(archive)  # elsewhere again
    assert files(shared)


def test_who_unpacks_nothing_makes_no_folder(package, shared):
    with model_cache.temporary():
        load_package(package)

    assert not list(shared.iterdir())


def test_what_a_killed_command_left_goes_with_the_next(archive, shared):
    killed = (
        "import os, signal, sys\n"
        "from swath import model_cache\n"
        "from swath.package import load_package\n"
        "with model_cache.temporary():\n"
        "    load_package(sys.argv[1])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", killed, str(archive)], check=False, env={"TMPDIR": str(shared)}
    )
    assert done.returncode == -signal.SIGKILL
    assert files(shared)

    with model_cache.temporary():
        load_package(archive)

    assert not files(shared)
