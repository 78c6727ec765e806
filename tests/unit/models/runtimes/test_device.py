"""Tests of the choice of the device, from the host's files: files stand in for NVIDIA's driver."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from swath.errors import NoGpuError, SettingsError
from swath.models.runtimes import device

SOURCE = Path(__file__).resolve().parents[4] / "src"
PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (r)"


@pytest.fixture
def host(monkeypatch, tmp_path):
    """Return the settings of a host without a GPU, which a test may change."""
    found = SimpleNamespace(node=tmp_path / "nvidiactl", version=tmp_path / "version")
    found.gpus, found.build, found.usable, found.onnx = tmp_path / "gpus", None, False, False
    monkeypatch.delenv("SWATH_DEVICE", raising=False)
    monkeypatch.setattr(device, "_DEVICE_NODES", (found.node,))
    monkeypatch.setattr(device, "_DRIVER_FILE", found.version)
    monkeypatch.setattr(device, "_GPU_FOLDER", found.gpus)
    monkeypatch.setattr(device, "_torch_cuda", lambda: (found.build, found.usable))
    monkeypatch.setattr(device, "_onnx_runtime_has_cuda", lambda: found.onnx)
    return found


@pytest.mark.parametrize("setting", [None, "auto", "cpu"])
def test_a_host_without_a_gpu_computes_on_its_cpu(host, monkeypatch, setting):
    if setting:
        monkeypatch.setenv("SWATH_DEVICE", setting)

    assert not device.runs_on_gpu()
    assert device.describe("cpu") == device.Device("cpu", "cpu", "")


@pytest.mark.parametrize(("build", "usable", "onnx"), [("13.0", True, False), (None, False, True)])
def test_a_gpu_that_shows_itself_is_used(host, build, usable, onnx):
    host.node.touch()
    host.build, host.usable, host.onnx = build, usable, onnx

    assert device.runs_on_gpu()


def test_a_gpu_is_not_used_where_the_cpu_is_meant(host, monkeypatch):
    host.node.touch()
    host.build, host.usable = "13.0", True
    monkeypatch.setenv("SWATH_DEVICE", "cpu")

    assert not device.runs_on_gpu("an instance type")


def test_a_gpu_that_cannot_be_used_is_an_error_with_the_drivers_version(host):
    host.node.touch()
    host.version.write_text(PROPRIETARY)
    host.build = "13.0"

    with pytest.raises(NoGpuError) as raised:
        device.runs_on_gpu()

    said = str(raised.value)
    assert str(host.node) in said
    assert "built for CUDA 13.0, the driver is 535.183.01" in said
    assert "SWATH_DEVICE=cpu" in said


@pytest.mark.parametrize("build", ["13.0", None])
def test_a_gpu_that_was_promised_must_be_there(host, monkeypatch, build):
    host.build = build
    with pytest.raises(NoGpuError, match=r"^the host is an ml\.g5\.xlarge, but no GPU can be used"):
        device.runs_on_gpu("the host is an ml.g5.xlarge")

    monkeypatch.setenv("SWATH_DEVICE", "cuda")
    with pytest.raises(NoGpuError, match=r"^SWATH_DEVICE is cuda, .* no GPU device is visible"):
        device.runs_on_gpu()


def test_a_laptop_with_a_gpu_and_libraries_for_a_cpu_uses_its_cpu(host):
    host.node.touch()

    assert not device.runs_on_gpu()


def test_torch_on_the_cpu_is_refused_where_a_gpu_was_promised(host, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    host.onnx = True  # ONNX Runtime can use the GPU, and torch cannot
    host.node.touch()
    assert device.torch_device() == torch.device("cpu")

    monkeypatch.setenv("SWATH_DEVICE", "cuda")
    with pytest.raises(NoGpuError, match="has no CUDA"):
        device.torch_device()


def test_an_unknown_device_is_refused(monkeypatch):
    monkeypatch.setenv("SWATH_DEVICE", "gpu")

    with pytest.raises(SettingsError, match="SWATH_DEVICE is 'gpu'; choose one of auto, cpu, cuda"):
        device.runs_on_gpu()


@pytest.mark.parametrize(("text", "version"), [(PROPRIETARY, "535.183.01"), (OPEN, "580.95.05")])
def test_the_driver_and_the_gpu_have_their_names(host, monkeypatch, text, version):
    monkeypatch.setitem(sys.modules, "torch", None)
    host.version.write_text(text)
    folder = host.gpus / "0000:00:1e.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: \t\t NVIDIA A10G\nIRQ:   \t\t 9\n")

    assert device.describe("cuda") == device.Device("cuda", "NVIDIA A10G", version)


def test_a_precision_that_is_emulated_does_not_count(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda *, including_emulation=True: including_emulation
    )

    computed = [device.supports_precision(name) for name in ("float32", "float16", "bfloat16")]
    assert computed == [True, True, False]


@pytest.mark.parametrize(
    ("text", "libraries", "given", "expected"),
    [
        (PROPRIETARY, True, "", "{compat}"),
        (PROPRIETARY, True, "/opt/lib", "{compat}:/opt/lib"),
        (PROPRIETARY, True, "{compat}", "{compat}"),
        (PROPRIETARY, False, "/opt/lib", "/opt/lib"),
        (OPEN, True, "", ""),
        ("", True, "", ""),
    ],
)
def test_an_old_driver_is_given_the_compatibility_libraries(
    tmp_path, text, libraries, given, expected
):
    """Check a real process, which replaces itself at most once and keeps its arguments."""
    compat = tmp_path / "compat"
    if libraries:
        compat.mkdir()
    (tmp_path / "version").write_text(text)
    program = f"""
import os, sys
from pathlib import Path
from swath.models.runtimes import device
device._DRIVER_FILE = Path({str(tmp_path / "version")!r})
device._COMPAT_FOLDER = Path({str(compat)!r})
print("start", flush=True)
device.use_compatible_driver(os.environ)
print(os.getpid(), sys.argv[1:], os.environ.get("LD_LIBRARY_PATH", ""), sep="|")
"""
    env = os.environ | {"PYTHONPATH": str(SOURCE), "LD_LIBRARY_PATH": given.format(compat=compat)}
    with subprocess.Popen(
        [sys.executable, "-c", program, "an argument"], env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        said = process.communicate()[0].splitlines()

    changed = expected != given
    assert process.returncode == 0
    assert said[:-1] == ["start"] * (1 + changed)
    assert said[-1] == f"{process.pid}|['an argument']|{expected.format(compat=compat)}"
