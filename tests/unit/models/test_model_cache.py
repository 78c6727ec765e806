"""Tests of the model cache: where packages are unpacked, and which files remain."""

import signal
import subprocess
import sys

import pytest

from swath.models import model_cache
from swath.models.package import load_package

pytestmark = pytest.mark.usefixtures("package_cache")


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_outside_a_command_a_package_is_kept(archive, package_cache):
    load_package(archive)

    assert files(package_cache)


def test_a_command_keeps_a_package_until_it_ends(archive, package_cache):
    with model_cache.temporary():
        first = load_package(archive)
        archive.unlink()
        assert load_package(archive, digest=first.digest).weights == first.weights
        assert files(package_cache)

    assert not files(package_cache)


@pytest.mark.parametrize("ending", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_however_a_command_ends(archive, package_cache, ending):
    def command():
        with model_cache.temporary():
            load_package(archive)
            raise ending

    with pytest.raises(ending):
        command()

    assert not files(package_cache)
    load_package(archive)  # unpacked elsewhere again
    assert files(package_cache)


def test_who_unpacks_nothing_makes_no_folder(package, package_cache):
    with model_cache.temporary():
        load_package(package)

    assert not list(package_cache.iterdir())


def test_what_a_killed_command_left_goes_with_the_next(archive, package_cache):
    killed = (
        "import os, signal, sys\n"
        "from swath.models import model_cache\n"
        "from swath.models.package import load_package\n"
        "with model_cache.temporary():\n"
        "    load_package(sys.argv[1])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", killed, str(archive)],
        check=False,
        env={"TMPDIR": str(package_cache)},
    )
    assert done.returncode == -signal.SIGKILL
    assert files(package_cache)

    with model_cache.temporary():
        load_package(archive)

    assert not files(package_cache)
