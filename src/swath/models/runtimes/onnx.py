"""Load ONNX models in ONNX Runtime, on the CPU or on a GPU with CUDA or TensorRT.

CUDA is requested only where a GPU is expected, since ONNX Runtime falls back to the CPU silently.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

import onnxruntime

from swath.errors import NoGpuError, PackageError
from swath.models.runtimes import device
from swath.models.runtimes.base import (
    GPU_WORKERS,
    check_float32,
    cpu_workers,
    static_batch_size,
    weights_load_error,
)
from swath.models.runtimes.batch_size import best_batch_size, make_batch_timer
from swath.models.runtimes.onnx_session import OnnxModel
from swath.models.runtimes.time_limit import TimeLimit
from swath.resource_limits import available_cpus

if TYPE_CHECKING:
    from pathlib import Path

    from swath.models.mlm import ModelDescription
    from swath.models.package import Weights
    from swath.models.runtimes.base import Runtime

Provider = str | tuple[str, dict[str, str]]

_ERRORS_ONLY = 3
_CPU, _CUDA, _TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
# TF32 has a mantissa of 10 bits only, so its results would differ from those of a CPU.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
_TENSORRT_PRECISION = {"float16": "trt_fp16_enable", "bfloat16": "trt_bf16_enable"}


def load(weights: Weights, description: ModelDescription, runtime: Runtime = "onnx") -> OnnxModel:
    """Load ONNX weights, on a GPU if there is one that this build of ONNX Runtime supports.

    Args:
        weights: Weights in ONNX format.
        description: Description of the package.
        runtime: Runtime. With `tensorrt`, TensorRT compiles the model in the package's precision.

    Raises:
        PackageError: The file is no ONNX model, its input has another shape, or TensorRT is
            missing.
        NoGpuError: This process has or expects a GPU, but cannot use it.
    """
    session = _open(weights.path, _providers(description, runtime))
    inputs = [(entry.name, entry.shape) for entry in session.get_inputs()]
    static_size = static_batch_size(weights.path, inputs, description)
    check_float32(weights.path, session.get_inputs()[0].type)
    static_size = static_size if description.batched else 1
    limit = TimeLimit.from_env(weights.path, runtime)
    if session.get_providers()[0] == _CPU:
        return OnnxModel(
            session,
            description,
            limit=limit,
            # Batches do not speed up a CPU. With one tile per batch, a tile's result does not
            # depend on other tiles.
            batch_size=static_size or 1,
            static_batch=static_size is not None,
            workers=cpu_workers()[0],
        )
    model = _on_gpu(session, description, limit, static_size)
    if static_size is None:
        model.batch_size = best_batch_size(
            make_batch_timer(model, description), description.batch_size
        )
    return model


def _providers(description: ModelDescription, runtime: Runtime) -> list[Provider]:
    """Return the execution providers for the model, the best first."""
    available = onnxruntime.get_available_providers()
    chosen: list[Provider] = [_CPU]
    if device.runs_on_gpu() and _CUDA in available:
        # Load the CUDA libraries from NVIDIA's wheels, which torch uses as well, so that a process
        # has only one copy. This is needed even if torch is imported, since torch lacks cuRAND.
        # https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#preload-dlls
        onnxruntime.preload_dlls()
        chosen.insert(0, (_CUDA, _CUDA_OPTIONS))
    if runtime == "tensorrt":
        if _TENSORRT not in available:
            raise PackageError(
                "this build of ONNX Runtime has no TensorRT; install onnxruntime-gpu and TensorRT, "
                "or choose another runtime"
            )
        option = _TENSORRT_PRECISION.get(description.precision)
        chosen.insert(0, (_TENSORRT, {option: "1"} if option else {}))
    return chosen


def _open(path: Path, providers: list[Provider]) -> onnxruntime.InferenceSession:
    on_gpu = len(providers) > 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus() if on_gpu else cpu_workers()[1]
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _ERRORS_ONLY
    # A thread that spins while it waits would take a core from the threads that decode blocks.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:
        # The library's errors have no common base but Exception.
        raise weights_load_error(path, error) from error
    if on_gpu and session.get_providers()[0] == _CPU:
        raise NoGpuError(
            f"ONNX Runtime {onnxruntime.__version__} could not use the GPU for {path.name}: the "
            f"driver is {device.driver_version() or 'unknown'}. Set SWATH_DEVICE=cpu to compute "
            "on the CPU"
        )
    return session


def _on_gpu(
    session: onnxruntime.InferenceSession,
    description: ModelDescription,
    limit: TimeLimit,
    static_size: int | None,
) -> OnnxModel:
    """Return a model on a GPU; torch scales its tiles there, or the host if torch has no GPU."""
    model = OnnxModel
    options: dict[str, Any] = {}
    if importlib.util.find_spec("torch") is not None:
        module = importlib.import_module("swath.models.runtimes.onnx_device")
        if device := module.first_gpu():
            model, options = module.OnnxDeviceModel, {"device": device}
    return model(
        session,
        description,
        limit=limit,
        batch_size=static_size or description.batch_size,
        static_batch=static_size is not None,
        workers=GPU_WORKERS,
        **options,
    )
