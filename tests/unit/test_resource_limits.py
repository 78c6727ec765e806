"""Tests of resource limits: the CPUs and the memory that a process may use."""

import os
import subprocess
import sys

import pytest

from swath.errors import SettingsError
from swath.resource_limits import MIB, available_cpus, free_memory, memory_limit

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", raising=False)
    monkeypatch.delenv("SWATH_MEMORY_MIB", raising=False)


@pytest.fixture
def system(tmp_path):
    """Return a function that writes files of `/proc` and `/sys` and returns their root."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_without_limits_it_is_the_machines(system):
    assert memory_limit(system({})) == MACHINE


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "64000", "memory.max": "90000"}),
        ("0::/a/b\n", {"a/b/memory.max": "64000\n", "a/memory.max": "max"}),
        ("0::/../../seen/from/outside\n", {"memory.max": "64000\n"}),
        (
            "5:cpu:/x\n4:memory:/docker/1\n",
            {
                "memory/memory.limit_in_bytes": "64000",
                "memory/docker/1/memory.limit_in_bytes": "9223372036854771712",
            },
        ),
    ],
    ids=["of a parent", "of its own", "of a container", "of version 1"],
)
def test_a_control_group_limits_it(system, groups, limits):
    files = {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}

    assert memory_limit(system({"proc/self/cgroup": groups} | files)) == 64000


def test_the_size_of_a_function_limits_it(system, monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")

    assert memory_limit(system({})) == 256 * MIB


def test_the_setting_limits_it_and_cannot_make_it_larger(system, monkeypatch):
    monkeypatch.setenv("SWATH_MEMORY_MIB", "128")
    assert memory_limit(system({})) == 128 * MIB

    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "64")
    assert memory_limit(system({})) == 64 * MIB


def test_a_setting_that_is_no_number_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("SWATH_MEMORY_MIB", "lots")

    with pytest.raises(SettingsError, match="SWATH_MEMORY_MIB"):
        memory_limit()


def test_what_is_in_use_is_not_free(monkeypatch):
    # In a process of its own: in this one, other tests' memory may be released at the same time.
    monkeypatch.setenv("SWATH_MEMORY_MIB", "100000")
    program = (
        "import os; from swath.resource_limits import free_memory; before = free_memory()\n"
        "block = bytearray(os.urandom(1)) * (64 << 20); print(before - free_memory())"
    )
    used = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout

    assert 32 * MIB < int(used) < 96 * MIB


def test_free_memory_is_never_negative(monkeypatch):
    monkeypatch.setenv("SWATH_MEMORY_MIB", "1")
    assert free_memory() == 0


def test_the_cpus_are_those_that_the_process_may_run_on():
    assert available_cpus() == len(os.sched_getaffinity(0))
