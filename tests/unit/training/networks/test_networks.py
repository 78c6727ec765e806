"""Tests of every network: it learns, and its exported package returns the same outputs."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from swath.detection.tasks import create_task
from swath.errors import InputError
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from swath.raster.tiles import Grid
from swath.training.export import export_package
from swath.training.networks import Targets, build_network
from swath.training.options import TrainOptions
from swath.training.package_spec import package_spec, to_model_description
from tests.helpers.synthetic import rectangles, tensor
from tests.helpers.train_steps import BANDS, CLASSES, SIZE, SMALL, network

OURS = ("detector", "unet")
every = pytest.mark.parametrize("name", SMALL)


def parts(net, crops):
    return net.loss(net(tensor(crops)), Targets.collate(crops))


def total(net, crops):
    return sum(parts(net, crops).values())


def learn(net, *, steps, rate=5e-3):
    optimizer = torch.optim.AdamW(net.train().parameters(), lr=rate)
    losses = []
    for step in range(steps):
        found = parts(net, rectangles(8, seed=step))
        loss = sum(found.values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10)
        optimizer.step()
        losses.append({name: value.item() for name, value in found.items()})
    return losses


def outputs(answer):
    return [answer] if isinstance(answer, torch.Tensor) else list(answer)


def spec_of(net):
    return package_spec(
        net,
        TrainOptions(tile_size=SIZE, overlap=0),
        bands=("a", "b", "c"),
        scaling=(None,) * BANDS,
        classes=("one", "other"),
    )


@every
def test_gradients_are_finite(name):
    net = network(name)
    total(net, rectangles(2)).backward()
    gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@every
def test_a_batch_without_objects_has_a_finite_loss(name):
    net = network(name)
    empty = [
        dataclasses.replace(
            crop,
            boxes=np.zeros((0, 4)),
            classes=np.zeros(0, np.int64),
            crowd=np.zeros(0, np.bool_),
            labels=np.full((SIZE, SIZE), 255, np.uint8),
        )
        for crop in rectangles(2)
    ]
    loss = total(net, empty)
    loss.backward()
    assert math.isfinite(loss.item())


# The targets of a detector's scores are its own overlaps, which grow: that loss may grow too.
@pytest.mark.parametrize(("name", "part"), [("detector", "box"), ("unet", "region")])
def test_the_loss_falls(name, part):
    losses = [found[part] for found in learn(network(name), steps=60)]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


@every
def test_the_head_describes_the_exported_outputs(name):
    net = network(name)
    answer = outputs(net.exported()(tensor(rectangles(3))))
    described = [output.shape for output in net.head()["outputs"]]
    assert [tuple(one.shape) for one in answer] == [(3, *shape[1:]) for shape in described]


@every
def test_every_tile_is_answered_by_itself(name):
    module = network(name).exported()
    tiles = tensor(rectangles(3))
    with torch.no_grad():
        together, alone = outputs(module(tiles)), outputs(module(tiles[1:2]))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[1:2], other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options"),
    [("detector", {}), ("detector", {"members": 2, "views": 8}), ("unet", {}), ("segformer", {})],
)
def test_both_files_of_a_package_answer_as_the_network(name, options, tmp_path):
    net = network(name, **options)
    learn(net, steps=2)  # so that normalizations have values to fold
    export_package(net, spec_of(net), tmp_path / "package", [])
    tiles = tensor(rectangles(3, seed=1)).numpy()
    expected = [o.detach().numpy() for o in outputs(net.exported()(torch.from_numpy(tiles)))]
    package = load_package(tmp_path / "package")
    for form in ("onnx", "pt2"):
        answers = load_model(package, format=form)(list(tiles))
        for number, answer in enumerate(answers):
            for one, other in zip(answer, expected, strict=True):
                np.testing.assert_allclose(one, other[number], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["rtdetrv2", "d-fine"])
def test_a_decoder_is_exported_for_any_number_of_tiles(tmp_path, name):
    # In an untrained decoder, the last bit decides which cells become queries. The export compares
    # outputs by the objects in them.
    net = network(name)
    learn(net, steps=12, rate=1e-3)
    export_package(net, spec_of(net), tmp_path / "package", [])
    package = load_package(tmp_path / "package")
    tiles = list(tensor(rectangles(3)).numpy())
    for form in ("onnx", "pt2"):
        answers = load_model(package, format=form)(tiles)
        assert [[one.shape for one in answer] for answer in answers] == [[(8, 2), (8, 4)]] * 3


def test_a_detector_finds_what_it_learnt(tmp_path):
    net = network("detector", typical=8.0)
    learn(net, steps=150)
    crop = rectangles(1, seed=1000)[0]
    with torch.no_grad():
        rows = net.exported()(tensor([crop])).numpy()[0]
    description = to_model_description(spec_of(net))
    seen = create_task(description, Grid(SIZE, SIZE, SIZE, 0)).decode(
        [rows], Grid(SIZE, SIZE, SIZE, 0).tile(0), None
    )
    best = seen.detections.take(np.argsort(-seen.detections.score)[: len(crop.boxes)])
    for box, label in zip(crop.boxes, crop.classes, strict=True):
        near = np.abs(best.box - box).max(axis=1) < 2
        assert (best.label[near] == label).any()


@pytest.mark.parametrize("name", ["unet", "segformer"])
def test_a_segmenter_needs_class_maps(name):
    boxes = [dataclasses.replace(crop, labels=None) for crop in rectangles(2)]
    with pytest.raises(InputError, match="labels are boxes alone"):
        total(network(name), boxes)


@pytest.mark.parametrize("name", OURS)
def test_nothing_is_learnt_where_there_is_no_scene(name):
    net = network(name).eval()
    crops = rectangles(2)
    nowhere = [dataclasses.replace(c, valid=np.zeros((SIZE, SIZE), np.bool_)) for c in crops]
    total(net, nowhere).backward()
    assert all(not weight.grad.any() for weight in net.parameters() if weight.grad is not None)


@pytest.mark.parametrize("name", OURS)
def test_a_class_has_its_weight(name):
    crops = rectangles(8)
    name_of_part = {"detector": "score", "unet": "pixel"}[name]
    one, other = (
        parts(network(name, class_weights=weights).eval(), crops)[name_of_part].item()
        for weights in ([1, 1], [1, 20])
    )
    rare = [crop for crop in crops if set(crop.classes) == {0}]
    assert one != pytest.approx(other)
    alone = (
        parts(network(name, class_weights=weights).eval(), rare)[name_of_part].item()
        for weights in ([1, 1], [1, 20])
    )
    assert next(alone) == pytest.approx(next(alone))  # a class without objects adds nothing


def test_a_crowd_is_no_object_to_the_detector():
    net = network("detector").eval()
    (crop,) = rectangles(1)
    crowd = dataclasses.replace(crop, crowd=np.ones(len(crop.boxes), np.bool_))
    found = parts(net, [crowd])
    assert found["box"] == 0
    assert found["score"] > 0


def test_the_same_seed_gives_the_same_weights():
    one, other = network("detector").state_dict(), network("detector").state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_pretrained_weights_are_taken_but_for_what_does_not_fit(tmp_path):
    first = network("segformer")
    first.model.save_pretrained(tmp_path)
    torch.manual_seed(7)
    taken = build_network(
        "segformer", bands=5, classes=CLASSES, size=SIZE, pretrained=str(tmp_path)
    )
    known, weights = first.model.state_dict(), taken.model.state_dict()
    differ = {name for name in known if known[name].shape != weights[name].shape}
    assert len(differ) == 1
    assert all(torch.equal(known[name], weights[name]) for name in known.keys() - differ)


@pytest.mark.parametrize("name", ["segformer", "rtdetrv2"])
def test_pretrained_weights_that_are_not_there(name, tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        network(name, pretrained=str(tmp_path))


def test_a_decoder_of_too_few_layers():
    with pytest.raises(InputError, match="layers is 1"):
        network("rtdetrv2", layers=1)


def test_a_network_that_there_is_not():
    with pytest.raises(InputError, match="choose one of detector, unet, segformer"):
        build_network("yolo", bands=3, classes=1, size=64)


def test_an_option_that_there_is_not():
    with pytest.raises(InputError, match=r"no option strides; it has .*stride"):
        build_network("detector", bands=3, classes=1, size=64, strides=2)


@pytest.mark.parametrize(
    ("name", "options", "step"), [("segformer", {}, 32), ("unet", {"channels": (8, 8)}, 4)]
)
def test_tiles_that_cannot_be_halved_so_often(name, options, step):
    with pytest.raises(InputError, match=f"needs a multiple of {step}"):
        build_network(name, bands=3, classes=1, size=50, **options)
