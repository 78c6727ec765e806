"""Tests of single training steps: low precision gives the result of float32, on any device."""

from typing import NamedTuple

import pytest
import torch

from swath.training import train_step as module
from swath.training.networks import to_float32
from tests.helpers.train_steps import SMALL, batch, train_step


@pytest.mark.parametrize("name", SMALL)
def test_a_step_in_bfloat16_learns_what_one_in_float32_does(name):
    reduced, full = train_step(name, precision="bfloat16"), train_step(name)
    seen = []
    reduced.network.register_forward_hook(lambda _m, _i, out: seen.append(out))

    losses = [sum(one.run(0, [batch()]).values()) for one in (reduced, full)]

    assert torch.bfloat16 in {tensor.dtype for tensor in tensors(seen)}
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert losses[0] != losses[1]
    before = dict(train_step(name).network.named_parameters())
    changed = [n for n, p in reduced.network.named_parameters() if not torch.equal(p, before[n])]
    assert changed
    assert {p.dtype for p in reduced.network.parameters()} == {torch.float32}


def tensors(outputs):
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    parts = outputs.values() if isinstance(outputs, dict) else outputs
    return [tensor for part in parts if part is not None for tensor in tensors(part)]


class Pair(NamedTuple):
    a: torch.Tensor
    b: dict


def test_outputs_in_float32_keep_their_form():
    half, whole = torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.int64)

    found = to_float32([Pair(half, {"x": (half, None)}), whole])

    assert isinstance(found[0], Pair)
    assert found[0].a.dtype == found[0].b["x"][0].dtype == torch.float32
    assert found[0].b["x"][1] is None
    assert found[1] is whole


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_that_only_emulates_bfloat16_computes_in_float32(monkeypatch, native, expected):
    def is_supported(*, including_emulation=True):
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    gpu = torch.device("cuda")

    assert module._select_precision("auto", gpu) is getattr(torch, expected)
    assert module._select_precision("bfloat16", gpu) is torch.bfloat16
    assert module._select_precision("auto", torch.device("cpu")) is torch.float32
