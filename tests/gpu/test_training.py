"""Tests of training on a GPU: every network learns as on a CPU, up to a verified package."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from swath.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402 (torch first)
from swath.training.options import TrainOptions  # noqa: E402
from swath.training.runner import TrainRunner  # noqa: E402
from tests.helpers.squares import HELD_OUT, OPTIONS, write_squares  # noqa: E402
from tests.helpers.train_steps import SMALL, batch, train_step  # noqa: E402

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", ["float32", "auto"])
@pytest.mark.parametrize("name", SMALL)
def test_a_step_has_the_loss_that_it_has_on_a_cpu(device, name, precision):
    one = train_step(name, precision=precision, device=device)

    losses = [sum(one.run(step, [batch()]).values()) for step in range(4)]

    host = sum(train_step(name).run(0, [batch()]).values())
    within = 0.01 if one.precision is torch.float32 else 0.15
    assert losses[0] == pytest.approx(host, rel=within)
    assert np.isfinite(losses).all()


def test_a_checkpoint_is_resumed(device, tmp_path):
    one = train_step("unet", device=device)
    for step in range(2):
        one.run(step, [batch()])
    one.keep_best()
    save_checkpoint(tmp_path, {"learner": one.state_dict()}, identity={"a": "b"})
    ahead = one.run(2, [batch()])

    other = train_step("unet", device=device)
    other.load_state_dict(load_checkpoint(tmp_path, identity={"a": "b"})["learner"])

    assert other.step(2, [batch()]) == pytest.approx(ahead, abs=1e-4)
    assert other.export_network() is not None


@pytest.mark.parametrize("network", ["detector", "unet"])
def test_a_whole_training_ends_in_a_package_that_is_proved(device, tmp_path, network):
    """Scenes, steps, validation by the engine, export, and every file tried on real tiles."""
    for needed in ("onnxruntime", "onnxscript", "faster_coco_eval", "matplotlib"):
        pytest.importorskip(needed)
    squares = write_squares(tmp_path / "squares")
    few = {} if device.type == "cuda" else {"epochs": "1", "crops": "16"}
    options = TrainOptions.from_strings(OPTIONS | {"network": network, "held_out": HELD_OUT} | few)

    report = TrainRunner.from_strings(options, {}).run(
        labels=str(squares / "labels.json"),
        images=str(squares / "scenes"),
        val_labels=None,
        val_images=None,
        out=tmp_path / "out",
        checkpoints=tmp_path / "checkpoints",
        stop=lambda: False,
        on_epoch=lambda _: None,
    )

    item = json.loads((tmp_path / "out" / "package" / "mlm.json").read_text())
    assert item["properties"]["mlm:name"] == "squares"
    if device.type == "cuda":
        assert report.metrics["ap50" if network == "detector" else "miou"] > 0.3
