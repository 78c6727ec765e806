"""Models in TorchScript or torch.export form, run by torch.

No file is unpickled: TorchScript has a reader of its own, and the parts of a `.pt2` archive that
torch would unpickle are read with `weights_only`, or refused.
"""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from swath.errors import PackageError
from swath.runtime import available_cpus

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from swath.mlm import ModelDescription
    from swath.package import Weights

# What a .pt2 archive may hold: no pickled objects among its constants and no compiled libraries.
# https://docs.pytorch.org/docs/stable/export/pt2_archive.html
_PLAIN = re.compile(
    r"[^/]+/(archive_format|archive_version|version|byteorder|\.data/[^/]+|models/[^/]+\.json"
    r"|data/weights/[^/]+|data/constants/(tensor_[^/]+|[^/]+_config\.json)"
    r"|data/sample_inputs/[^/]+|extra/.*)"
)
_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class TorchModel:
    """A module on a device."""

    def __init__(self, module: Callable[..., Any], device: str, batch_size: int) -> None:
        self._module, self._device = module, device
        self.batch_size = batch_size

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The module's output; the first if it has several."""
        with torch.inference_mode():
            raw = self._module(torch.from_numpy(batch).to(self._device))
        raw = raw[0] if isinstance(raw, tuple | list) else raw
        return np.asarray(raw.float().cpu().numpy())


def load(weights: Weights, description: ModelDescription) -> TorchModel:
    """Load weights; on the GPU where there is one.

    Raises:
        PackageError: the file is not of its format, or holds pickled objects.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(available_cpus())
    # TF32 keeps ten bits of the mantissa: enough for training, not for the same result as on a CPU.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    read = _read_torchscript if weights.format == "torchscript" else _read_pt2
    try:
        module = read(weights.path, device)
    except PackageError:
        raise
    except Exception as error:
        # torch's errors have no common base but Exception.
        raise PackageError(f"{weights.path} cannot be run: {error}") from error
    return TorchModel(module, device, description.batch_size if device == "cuda" else 1)


def _read_torchscript(path: Path, device: str) -> Callable[..., Any]:
    jit: Any = torch.jit
    with warnings.catch_warnings():
        # torch asks for .pt2 in its place; the packages that exist are what they are.
        warnings.simplefilter("ignore", DeprecationWarning)
        module: Callable[..., Any] = jit.load(str(path), map_location=device).eval()
    return module


def _read_pt2(path: Path, device: str) -> Callable[..., Any]:
    with zipfile.ZipFile(path) as archive:
        odd = [name for name in archive.namelist() if not _PLAIN.fullmatch(name)]
    if odd:
        raise PackageError(f"{path} holds {odd[0]}; swath loads weights and graphs only")
    with _weights_only():
        program = torch.export.load(str(path))
    module: Callable[..., Any] = program.module().to(device)
    return module


@contextmanager
def _weights_only() -> Iterator[None]:
    """Within, `torch.load` unpickles tensors and nothing else, whoever calls it."""
    before = os.environ.get(_WEIGHTS_ONLY)
    os.environ[_WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_WEIGHTS_ONLY]
        else:
            os.environ[_WEIGHTS_ONLY] = before
