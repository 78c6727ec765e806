"""Run ONNX models on a GPU, with tiles that torch uploads and scales."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from swath.models.runtimes.base import split_batch, translate_oom
from swath.models.runtimes.device_input import DeviceInput
from swath.models.runtimes.onnx_session import OnnxModel, run_options
from swath.models.runtimes.time_limit import UNLIMITED, TimeLimit

if TYPE_CHECKING:
    import onnxruntime
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Outputs


class OnnxDeviceModel(OnnxModel):
    """Inference session that reads its input from a torch tensor on the device."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        description: ModelDescription,
        *,
        device: torch.device,
        batch_size: int = 1,
        static_batch: bool = False,
        workers: int = 1,
        limit: TimeLimit = UNLIMITED,
    ) -> None:
        super().__init__(
            session,
            description,
            batch_size=batch_size,
            static_batch=static_batch,
            workers=workers,
            limit=limit,
        )
        self._device = device
        self._device_input = DeviceInput(description, device, channels_last=False)
        self._gpu_lock = threading.Lock()

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Return the model's outputs for each tile."""
        batch = self.padded_size(len(tiles))
        with translate_oom(), torch.inference_mode():
            raw = self._device_input.upload(tiles, batch)
            with self._gpu_lock:
                outputs = self._infer(self._device_input.scale(raw))
        return split_batch(outputs, tiles=len(tiles), batch=batch, batched=self._batched)

    def _infer(self, pixels: torch.Tensor) -> list[NDArray[Any]]:
        """Return the outputs on the host for float32 (batch, bands, size, size) on the device."""
        binding = self._session.io_binding()
        binding.bind_input(
            name=self._input_name,
            device_type=self._device.type,
            device_id=self._device.index or 0,
            element_type=np.float32,
            shape=tuple(pixels.shape),
            buffer_ptr=pixels.data_ptr(),
        )
        for output in self._output_names:
            binding.bind_output(output)
        if self._device.type == "cuda":
            # ONNX Runtime computes in a stream of its own, which does not wait for torch's stream.
            torch.cuda.current_stream(self._device).synchronize()
        with run_options(self._limit) as options:
            self._session.run_with_iobinding(binding, options)
        outputs: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return outputs


def first_gpu() -> torch.device | None:
    """Return the first GPU, or None if torch cannot use one."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else None
