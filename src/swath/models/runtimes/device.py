"""Choose the device that models run on, and never fall back from an expected GPU to the CPU.

A GPU is paid for by the hour, and the CPU of the same host is far slower at the same price. So a
process raises `NoGpuError` if it has or expects a GPU but cannot use it.

- A process has a GPU if a device node of NVIDIA's driver exists.
- A process expects a GPU if `SWATH_DEVICE` is `cuda`, or if its SageMaker host is of a GPU type.
  The stack sets `SWATH_DEVICE=cuda` where it requests a host with a GPU.
- `SWATH_DEVICE=cpu` requests the CPU. The local cloud sets it.

torch is imported only where there may be a GPU. A Lambda function has none, and importing torch
takes long on a laptop.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.errors import NoGpuError, SettingsError
from swath.settings import DeviceSettings, variable

_CHOICES = ("auto", "cpu", "cuda")
_VARIABLE = variable("device")
# Device nodes of NVIDIA's driver on Linux and on the Windows Subsystem for Linux.
_NODES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
_DRIVER = Path("/proc/driver/nvidia/version")
_GPUS = Path("/proc/driver/nvidia/gpus")
_DRIVER_VERSION = re.compile(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)*)")
_GPU_MODEL = re.compile(r"^Model:\s*(.+?)\s*$", re.MULTILINE)
_CUDA_PROVIDER = "CUDAExecutionProvider"
_COMPAT = Path("/usr/local/cuda/compat")
_NATIVE_DRIVER = 580
"""Major version of the first driver that runs CUDA 13 without the compatibility libraries:
https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html#cuda-driver"""
_LIBRARIES = "LD_LIBRARY_PATH"


@dataclass(frozen=True, slots=True)
class Device:
    """Device that a model runs on."""

    kind: str
    """`cuda` or `cpu`."""
    name: str
    """NVIDIA's name of the GPU, or `cpu`."""
    driver: str = ""
    """Version of NVIDIA's driver; empty on a CPU, or if it is unknown."""


def find_gpu(promise: str = "") -> bool:
    """Return whether models run on a GPU in this process.

    Args:
        promise: Reason, other than the environment, why this process expects a GPU, for the error
            message; empty if there is none.

    Raises:
        NoGpuError: This process has or expects a GPU, but cannot use one.
        SettingsError: `SWATH_DEVICE` is not `auto`, `cpu` or `cuda`.
    """
    wanted = _wanted()
    if wanted == "cpu":
        return False
    if wanted == "cuda":
        promise = f"{_VARIABLE} is cuda"
    shown = next((str(node) for node in _NODES if node.exists()), "")
    if not (promise or shown):
        # If torch is imported already, asking it costs no time.
        return "torch" in sys.modules and _torch_build()[1]
    build, usable = _torch_build()
    if usable or (build is None and _onnx_runtime_has_cuda()):
        return True
    # A laptop with a GPU may have libraries that support the CPU only.
    if promise or build:
        raise NoGpuError(
            f"{promise or f'there is {shown}'}, but no GPU can be used: {_torch_words(build)}, "
            f"the driver is {driver_version() or 'not there'}, and {shown or 'no GPU device'} is "
            f"visible. Give the process a GPU and driver {_NATIVE_DRIVER} or later, or set "
            f"{_VARIABLE}=cpu to compute on the CPU"
        )
    return False


def torch_device() -> Any:
    """Return the `torch.device` that models run on.

    Raises:
        NoGpuError: `find_gpu` raises it, or `SWATH_DEVICE` is `cuda` and torch cannot use CUDA.
        SettingsError: `SWATH_DEVICE` is not `auto`, `cpu` or `cuda`.
    """
    torch = importlib.import_module("torch")
    gpu = find_gpu()
    if gpu and torch.cuda.is_available():
        return torch.device("cuda")
    refuse_cpu(f"torch {torch.__version__} has no CUDA")
    return torch.device("cpu")


def library_uses_gpu(library: str) -> bool:
    """Return whether the installed build of a library can use a GPU.

    Args:
        library: `torch`, `onnxruntime` or `openvino`. swath runs `openvino` on the CPU only.
    """
    if library == "torch":
        return _torch_build()[1]
    return library == "onnxruntime" and _onnx_runtime_has_cuda()


def refuse_cpu(reason: str) -> None:
    """Raise an error if `SWATH_DEVICE` is `cuda` although a model would run on the CPU.

    Args:
        reason: Reason why the model would run on the CPU, for the message.

    Raises:
        NoGpuError: `SWATH_DEVICE` is `cuda`. The message has the reason and the remedy.
        SettingsError: `SWATH_DEVICE` is not `auto`, `cpu` or `cuda`.
    """
    if _wanted() == "cuda":
        raise NoGpuError(f"{_VARIABLE} is cuda, but {reason}; set {_VARIABLE}=cpu for the CPU")


def describe(kind: str) -> Device:
    """Return the name of a device and the version of its driver.

    Args:
        kind: Kind of the device, `cuda` or `cpu`.
    """
    if kind != "cuda":
        return Device("cpu", "cpu")
    return Device("cuda", _gpu_name(), driver_version())


def driver_version() -> str:
    """Return the version of NVIDIA's driver on this host, such as `580.95.05`; empty if unknown."""
    found = _DRIVER_VERSION.search(_read(_DRIVER))
    return found[1] if found else ""


def computes_in(precision: str) -> bool:
    """Return whether the GPU supports a precision in hardware, instead of emulating it."""
    if precision != "bfloat16" or importlib.util.find_spec("torch") is None:
        return True
    cuda: Any = importlib.import_module("torch").cuda
    return bool(cuda.is_bf16_supported(including_emulation=False))


def use_compatible_driver(env: Mapping[str, str]) -> None:
    """Restart this process with CUDA's compatibility libraries if its driver needs them.

    The libraries are the user-mode part of a newer driver. The dynamic loader reads its path when a
    process starts, so the process replaces itself by `execve` and keeps its process ID. Nothing
    happens if the driver is recent or unknown, if the image lacks the libraries, or if they are in
    the path already.
    https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html

    Args:
        env: Environment variables of the process.
    """
    version = driver_version()
    given = [part for part in env.get(_LIBRARIES, "").split(os.pathsep) if part]
    recent = not version or int(version.partition(".")[0]) >= _NATIVE_DRIVER
    if recent or not _COMPAT.is_dir() or str(_COMPAT) in given:
        return
    path = os.pathsep.join([str(_COMPAT), *given])
    os.execve(sys.executable, sys.orig_argv, {**env, _LIBRARIES: path})  # noqa: S606 (itself)


def _wanted() -> str:
    wanted = DeviceSettings.from_env().device
    if wanted not in _CHOICES:
        raise SettingsError(f"{_VARIABLE} is {wanted!r}; choose one of {', '.join(_CHOICES)}")
    return wanted


def _torch_build() -> tuple[str | None, bool]:
    """Return the CUDA version that torch is built for, if any, and whether torch can use a GPU."""
    if importlib.util.find_spec("torch") is None:
        return None, False
    torch: Any = importlib.import_module("torch")
    return torch.version.cuda, bool(torch.cuda.is_available())


def _torch_words(build: str | None) -> str:
    return f"torch is built for CUDA {build}" if build else "torch has no CUDA"


def _onnx_runtime_has_cuda() -> bool:
    if importlib.util.find_spec("onnxruntime") is None:
        return False
    return _CUDA_PROVIDER in importlib.import_module("onnxruntime").get_available_providers()


def _gpu_name() -> str:
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    models = (_GPU_MODEL.search(_read(path / "information")) for path in _children(_GPUS))
    return next((found[1] for found in models if found), "a GPU")


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
