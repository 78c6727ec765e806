import re

import numpy as np
import pytest

from swath.errors import ModelOutputError, OutOfMemoryError
from swath.models.package import load_package
from swath.models.runtimes import base as runtime
from swath.models.runtimes.base import (
    BatchedModel,
    cpu_workers,
    split_batch,
    translate_oom,
)
from swath.models.runtimes.load import load_model
from tests.helpers.packages import TILE


@pytest.fixture
def loaded(package):
    return load_package(package)


def test_a_model_answers_for_a_batch(loaded):
    model = load_model(loaded)
    tile = np.zeros((1, TILE, TILE), np.uint8)
    tile[0, 2, 3] = 25  # 0.25 after scaling

    ((raw,),) = model([tile])

    assert raw.shape == (5, TILE * TILE)
    assert raw.dtype == np.float32
    assert raw[:, 2 * TILE + 3].tolist() == [3.5, 2.5, 1, 1, 0.5]


@pytest.mark.parametrize(
    ("cpus", "workers", "threads"), [(1, 1, 1), (2, 2, 1), (8, 8, 1), (12, 8, 1), (64, 8, 8)]
)
def test_a_cpu_takes_a_tile_a_thread_up_to_a_bound(monkeypatch, cpus, workers, threads):
    monkeypatch.setattr(runtime, "available_cpus", lambda: cpus)

    assert cpu_workers() == (workers, threads)


def test_batches_are_halved_down_to_one():
    batches = BatchedModel(6)

    assert [batches.shrink() and batches.batch_size for _ in range(3)] == [3, 1, False]
    assert batches.batch_size == 1
    assert batches.padded_size(1) == 1


def test_a_batch_that_the_model_insists_on_is_not_halved():
    batches = BatchedModel(4, static_batch=True)

    assert not batches.shrink()
    assert batches.padded_size(3) == batches.batch_size == 4


def test_outputs_are_told_apart_by_tile():
    scores, boxes = np.arange(4), np.arange(8).reshape(4, 2)

    found = split_batch([scores, boxes], tiles=3, batch=4, batched=True)

    assert [(int(s), b.tolist()) for s, b in found] == [(0, [0, 1]), (1, [2, 3]), (2, [4, 5])]


def test_outputs_without_a_batch_axis_are_of_the_one_tile():
    boxes = np.zeros((7, 4))

    assert split_batch([boxes], tiles=1, batch=1, batched=False) == [(boxes,)]


@pytest.mark.parametrize("output", [np.zeros((1, 5)), np.float32(1)])
def test_there_must_be_an_answer_for_each_tile(output):
    with pytest.raises(ModelOutputError, match="for a batch of 2 tiles"):
        split_batch([np.zeros((2, 5)), np.asarray(output)], tiles=2, batch=2, batched=True)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("Failed to allocate memory for requested buffer of size 4096"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        RuntimeError("CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
    ],
)
def test_out_of_memory_has_one_name(error):
    with (
        pytest.raises(OutOfMemoryError, match=re.escape(str(error)) or "^out of memory$"),
        translate_oom(),
    ):
        raise error


def test_other_errors_keep_their_names():
    with pytest.raises(ValueError, match="shape"), translate_oom():
        raise ValueError("a wrong shape")
