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
from swath.settings import DeviceSettings, variable_name

_CHOICES = ("auto", "cpu", "cuda")
_VARIABLE = variable_name("device")
# Device nodes of NVIDIA's driver on Linux and on the Windows Subsystem for Linux.
_DEVICE_NODES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
_DRIVER_FILE = Path("/proc/driver/nvidia/version")
_GPU_FOLDER = Path("/proc/driver/nvidia/gpus")
_DRIVER_VERSION = re.compile(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)*)")
_GPU_MODEL = re.compile(r"^Model:\s*(.+?)\s*$", re.MULTILINE)
_CUDA_PROVIDER = "CUDAExecutionProvider"
_COMPAT_FOLDER = Path("/usr/local/cuda/compat")
_MIN_NATIVE_DRIVER = 580
"""Major version of the first driver that runs CUDA 13 without the compatibility libraries:
https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html#cuda-driver"""
_LIBRARY_PATH = "LD_LIBRARY_PATH"


@dataclass(frozen=True, slots=True)
class Device:
    """Device that a model runs on."""

    type: str
    """`cuda` or `cpu`."""
    name: str
    """NVIDIA's name of the GPU, or `cpu`."""
    driver: str = ""
    """Version of NVIDIA's driver; empty on a CPU, or if it is unknown."""


def runs_on_gpu(expectation: str = "") -> bool:
    """Return whether models run on a GPU in this process.

    Args:
        expectation: Reason, other than the environment, why this process expects a GPU, for the
            error message; empty if there is none.

    Raises:
        NoGpuError: This process has or expects a GPU, but cannot use one.
        SettingsError: `SWATH_DEVICE` is not `auto`, `cpu` or `cuda`.
    """
    requested = _requested_device()
    if requested == "cpu":
        return False
    if requested == "cuda":
        expectation = f"{_VARIABLE} is cuda"
    node = next((str(node) for node in _DEVICE_NODES if node.exists()), "")
    if not (expectation or node):
        # If torch is imported already, asking it costs no time.
        return "torch" in sys.modules and _torch_cuda()[1]
    build, usable = _torch_cuda()
    if usable or (build is None and _onnx_runtime_has_cuda()):
        return True
    # A laptop with a GPU may have libraries that support the CPU only.
    if expectation or build:
        raise NoGpuError(
            f"{expectation or f'{node} exists'}, but no GPU can be used: "
            f"{_torch_build_text(build)}, the driver is {driver_version() or 'missing'}, and "
            f"{node or 'no GPU device'} is visible. Give the process a GPU and driver "
            f"{_MIN_NATIVE_DRIVER} or later, or set {_VARIABLE}=cpu to compute on the CPU"
        )
    return False


def torch_device() -> Any:
    """Return the `torch.device` that models run on.

    Raises:
        NoGpuError: `runs_on_gpu` raises it, or `SWATH_DEVICE` is `cuda` and torch cannot use CUDA.
        SettingsError: `SWATH_DEVICE` is not `auto`, `cpu` or `cuda`.
    """
    torch = importlib.import_module("torch")
    gpu = runs_on_gpu()
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
        return _torch_cuda()[1]
    return library == "onnxruntime" and _onnx_runtime_has_cuda()


def refuse_cpu(reason: str) -> None:
    """Raise an error if `SWATH_DEVICE` is `cuda` although a model would run on the CPU.

    Args:
        reason: Reason why the model would run on the CPU, for the message.

    Raises:
        NoGpuError: `SWATH_DEVICE` is `cuda`. The message has the reason and the remedy.
        SettingsError: `SWATH_DEVICE` is not `auto`, `cpu` or `cuda`.
    """
    if _requested_device() == "cuda":
        raise NoGpuError(f"{_VARIABLE} is cuda, but {reason}; set {_VARIABLE}=cpu to use the CPU")


def describe(device_type: str) -> Device:
    """Return the name of a device and the version of its driver.

    Args:
        device_type: `cuda` or `cpu`.
    """
    if device_type != "cuda":
        return Device("cpu", "cpu")
    return Device("cuda", _gpu_name(), driver_version())


def driver_version() -> str:
    """Return the version of NVIDIA's driver on this host, such as `580.95.05`; empty if unknown."""
    match = _DRIVER_VERSION.search(_read(_DRIVER_FILE))
    return match[1] if match else ""


def supports_precision(precision: str) -> bool:
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
    folders = [part for part in env.get(_LIBRARY_PATH, "").split(os.pathsep) if part]
    is_recent = not version or int(version.partition(".")[0]) >= _MIN_NATIVE_DRIVER
    if is_recent or not _COMPAT_FOLDER.is_dir() or str(_COMPAT_FOLDER) in folders:
        return
    path = os.pathsep.join([str(_COMPAT_FOLDER), *folders])
    os.execve(sys.executable, sys.orig_argv, {**env, _LIBRARY_PATH: path})  # noqa: S606 (itself)


def _requested_device() -> str:
    requested = DeviceSettings.from_env().device
    if requested not in _CHOICES:
        raise SettingsError(f"{_VARIABLE} is {requested!r}; choose one of {', '.join(_CHOICES)}")
    return requested


def _torch_cuda() -> tuple[str | None, bool]:
    """Return the CUDA version that torch is built for, if any, and whether torch can use a GPU."""
    if importlib.util.find_spec("torch") is None:
        return None, False
    torch: Any = importlib.import_module("torch")
    return torch.version.cuda, bool(torch.cuda.is_available())


def _torch_build_text(build: str | None) -> str:
    return f"torch is built for CUDA {build}" if build else "torch has no CUDA"


def _onnx_runtime_has_cuda() -> bool:
    if importlib.util.find_spec("onnxruntime") is None:
        return False
    return _CUDA_PROVIDER in importlib.import_module("onnxruntime").get_available_providers()


def _gpu_name() -> str:
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    models = (_GPU_MODEL.search(_read(path / "information")) for path in _list_folder(_GPU_FOLDER))
    return next((match[1] for match in models if match), "a GPU")


def _list_folder(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
