"""Models in ONNX form, run by ONNX Runtime on the CPU or, with CUDA or TensorRT, on a GPU.

Where there is no GPU, none is asked for: ONNX Runtime would go on with the CPU of its own accord.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

import onnxruntime

from swath.cpus import available_cpus
from swath.errors import NoGpuError, PackageError
from swath.models.runtimes import device
from swath.models.runtimes.base import (
    GPU_WORKERS,
    check_float32,
    cpu_workers,
    fixed_batch,
    not_runnable,
)
from swath.models.runtimes.batch_size import best_batch_size, seconds_of
from swath.models.runtimes.onnx_session import OnnxModel
from swath.models.runtimes.time_limit import TimeLimit

if TYPE_CHECKING:
    from pathlib import Path

    from swath.models.mlm import ModelDescription
    from swath.models.package import Weights
    from swath.models.runtimes.base import Runtime

Provider = str | tuple[str, dict[str, str]]

_ERRORS_ONLY = 3
_CPU, _CUDA, _TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
# TF32 keeps ten bits of the mantissa: enough for training, not for the same result as on a CPU.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
_TENSORRT_PRECISION = {"float16": "trt_fp16_enable", "bfloat16": "trt_bf16_enable"}


def load(weights: Weights, description: ModelDescription, way: Runtime = "onnx") -> OnnxModel:
    """Load weights; on the GPU where this build of ONNX Runtime has one.

    Args:
        weights: of ONNX form.
        description: what the package says of them.
        way: `tensorrt` to have TensorRT compile the model, in the precision the package allows.

    Raises:
        PackageError: it is no ONNX model, takes an input of another shape, or TensorRT is not here.
        NoGpuError: there is a GPU, or there was to be one, and it cannot be used.
    """
    session = _open(weights.path, _providers(description, way))
    inputs = [(entry.name, entry.shape) for entry in session.get_inputs()]
    fixed = fixed_batch(weights.path, inputs, description)
    check_float32(weights.path, session.get_inputs()[0].type)
    fixed = fixed if description.batched else 1
    limit = TimeLimit.of(weights.path, way)
    if session.get_providers()[0] == _CPU:
        return OnnxModel(
            session,
            description,
            limit=limit,
            # A CPU gains nothing from batches, and a tile alone gives the same in any company.
            batch_size=fixed or 1,
            fixed=fixed is not None,
            workers=cpu_workers()[0],
        )
    model = _on_gpu(session, description, limit, fixed)
    if fixed is None:
        model.batch_size = best_batch_size(seconds_of(model, description), description.batch_size)
    return model


def _providers(description: ModelDescription, way: Runtime) -> list[Provider]:
    """Where the model is to run, the best first."""
    available = onnxruntime.get_available_providers()
    chosen: list[Provider] = [_CPU]
    if device.find_gpu() and _CUDA in available:
        # From NVIDIA's wheels, where torch has its CUDA libraries, too: a process has one of each.
        # It is needed beside torch as well, which has no cuRAND.
        # https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#preload-dlls
        onnxruntime.preload_dlls()
        chosen.insert(0, (_CUDA, _CUDA_OPTIONS))
    if way == "tensorrt":
        if _TENSORRT not in available:
            raise PackageError(
                "this build of ONNX Runtime has no TensorRT; install onnxruntime-gpu and TensorRT, "
                "or ask for another runtime"
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
    # A thread that spins while it waits takes the core from whoever decodes the next block.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:
        # The library's errors have no common base but Exception.
        raise not_runnable(path, error) from error
    if on_gpu and session.get_providers()[0] == _CPU:
        raise NoGpuError(
            f"ONNX Runtime {onnxruntime.__version__} could not use the GPU for {path.name}: the "
            f"driver is {device.driver_version() or 'not known'}. Set SWATH_DEVICE=cpu to compute "
            "on the CPU"
        )
    return session


def _on_gpu(
    session: onnxruntime.InferenceSession,
    description: ModelDescription,
    limit: TimeLimit,
    fixed: int | None,
) -> OnnxModel:
    """A model on a GPU: fed by torch where that sees it, too, or else by the host."""
    model = OnnxModel
    options: dict[str, Any] = {}
    if importlib.util.find_spec("torch") is not None:
        module = importlib.import_module("swath.models.runtimes.onnx_device")
        if device := module.gpu():
            model, options = module.OnnxDeviceModel, {"device": device}
    return model(
        session,
        description,
        limit=limit,
        batch_size=fixed or description.batch_size,
        fixed=fixed is not None,
        workers=GPU_WORKERS,
        **options,
    )
