"""Tests of whole, tiny trainings: a network of some thousand weights learns bright squares."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import torch

from swath.errors import InputError, TrainingError, TrainingInterruptedError
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from swath.packaging.write_mlm import TRAINING_PROPERTY
from swath.pipeline.local import run_local
from swath.training import train as training
from swath.training.checkpoint import CHECKPOINT_FILE
from swath.training.train import PACKAGE, train
from tests.helpers.items import write_item
from tests.helpers.squares import HELD_OUT, OPTIONS, SCENES, SIDE, collection, options

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def one_thread():
    """Use one thread, because threads that wait for each other slow parallel tests too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def prepared(squares, tmp_path, *, stop=lambda: False, val="val", points=None, **changes):
    """Return a training before its first step."""
    chosen = options(**changes)
    train_on, val_on = training._split_validation(
        chosen, collection(squares, "train"), collection(squares, val) if val else None
    )
    inputs = training.TrainInputs.from_collection(train_on, chosen)
    on_epoch = [].append if points is None else points.append
    with training._deterministic_torch(chosen):
        return training._prepare_loop(chosen, inputs, val_on, tmp_path, stop, on_epoch)[0]


def test_a_few_steps_find_the_squares_of_a_scene_it_never_saw(trained):
    assert trained.report.metrics["ap50"] > 0.8
    assert trained.report.ended == "epochs"
    assert [point["epoch"] for point in trained.points] == [1, 2, 3, 4, 5]
    assert trained.points[-1]["loss"] < trained.points[0]["loss"]


def test_the_package_runs_and_finds_what_the_validation_found(trained, squares, tmp_path):
    scene = squares / "scenes" / HELD_OUT
    report = run_local(str(scene), str(trained.folder / PACKAGE), tmp_path)

    known = len(collection(squares, "val").scenes[0].boxes)
    assert report.detections == pytest.approx(known, abs=3)
    assert load_package(trained.folder / PACKAGE).digest == trained.report.digest


def test_the_package_says_what_it_was_made_of(trained, squares):
    item = json.loads((trained.folder / PACKAGE / "mlm.json").read_text())
    properties = item["properties"]
    of = properties[TRAINING_PROPERTY]

    assert of["data"]["training"]["digest"] == collection(squares, "train").digest
    assert of["data"]["validation"]["scenes"] == [HELD_OUT]
    assert of["options"]["learning_rate"] == 0.01
    assert of["metrics"]["ap50"] == trained.report.metrics["ap50"]
    red = properties["bands"][0]
    assert red["name"] == "red"
    assert red["statistics"]["mean"] == pytest.approx(1000, abs=60)
    scaling = properties["mlm:input"][0]["value_scaling"]
    assert [s["mean"] for s in scaling] == [b["statistics"]["mean"] for b in properties["bands"]]
    assert 0.05 <= properties["mlm:hyperparameters"]["score_threshold"] <= 0.95
    assert {asset["href"] for asset in item["assets"].values()} == {"model.onnx", "model.pt2"}


@pytest.mark.parametrize("count", [1, 3])
def test_both_files_take_any_number_of_tiles(trained, count):
    package = load_package(trained.folder / PACKAGE)
    tiles = [np.full((2, 64, 64), 1000 + i, np.uint16) for i in range(count)]
    answers = [load_model(package, format=kind)(tiles) for kind in ("onnx", "pt2")]

    for one, other in zip(*answers, strict=True):
        np.testing.assert_allclose(one[0], other[0], rtol=1e-3, atol=1e-3)


def test_killed_in_the_middle_and_taken_up_it_gives_the_same_weights(trained, squares, tmp_path):
    """Check that SIGKILL in the middle of an epoch and a resume change no weight."""
    changes = [f"--set={key}={value}" for key, value in OPTIONS.items()]
    data = [str(squares / name) for name in ("train.json", "scenes")]
    more = ["--val-labels", str(squares / "val.json"), "--out", str(tmp_path)]
    more += ["--local", *changes, "--set=checkpoint_seconds=0"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from swath.cli import app; app()", "train", *data, *more],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert process.stdout.readline().startswith("epoch=1; ")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    checkpoints = tmp_path / "checkpoints"
    assert (checkpoints / CHECKPOINT_FILE).is_file()
    assert not (tmp_path / PACKAGE).exists()

    points = []
    report = train(
        options(),
        collection(squares, "train"),
        collection(squares, "val"),
        tmp_path,
        checkpoints=checkpoints,
        on_epoch=points.append,
    )

    assert [point["epoch"] for point in points] == [2, 3, 4, 5]
    assert weights(tmp_path) == weights(trained.folder)
    assert without_times(report.curves) == without_times(trained.report.curves)
    assert report.metrics == trained.report.metrics


def weights(folder):
    """Return each weight of a package's .pt2, as bytes."""
    program = torch.export.load(str(folder / PACKAGE / "model.pt2"))
    return {name: tensor.numpy().tobytes() for name, tensor in program.state_dict.items()}


def without_times(curves):
    return [{name: v for name, v in point.items() if name != "seconds"} for point in curves]


def test_stopped_after_any_step_it_goes_on_with_the_next(squares, tmp_path):
    """Check stops between the batches of a step too; a step has two batches here."""
    chosen = {"epochs": "2", "crops": "24", "accumulate": "2", "batch_size": "5"}
    whole = prepared(squares, None, **chosen)
    whole.run()
    steps = 0
    for _ in range(20):
        loop = prepared(squares, tmp_path, **chosen)
        loop.resume()
        loop.stop = lambda done=steps, loop=loop: loop.progress.step > done
        assert loop.progress.step == steps
        try:
            loop.run()
        except TrainingInterruptedError:
            steps = loop.progress.step
        else:
            break

    assert loop.progress.step == whole.progress.step == 6
    assert without_times(loop.progress.curves) == without_times(whole.progress.curves)
    ours, theirs = (one.train_step.export_network().state_dict() for one in (loop, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_training_that_is_done_is_not_done_again(squares, tmp_path):
    first = prepared(squares, tmp_path, epochs="1", crops="8")
    first.run()
    points = []
    second = prepared(squares, tmp_path, points=points, epochs="1", crops="8")
    second.resume()
    second.run()

    assert second.progress == first.progress
    assert points == []


def test_when_time_is_over_it_ends_in_good_order(squares):
    loop = prepared(squares, None, minutes="1e-9", epochs="9")
    progress = loop.run()

    assert progress.finished == "minutes"
    assert progress.step == 1
    assert "ap50" in progress.curves[-1]


@pytest.mark.parametrize(
    ("launch", "minutes", "goes_on"),
    [("one", "1e-9", False), ("two", "9", True), ("one", "9", True), ("two", "1e-9", True)],
)
def test_a_training_whose_time_was_over_goes_on_with_another_launch_or_more_time(
    squares, tmp_path, launch, minutes, goes_on
):
    chosen = {"epochs": "2", "crops": "24", "keep": "last"}
    first = prepared(squares, tmp_path, minutes="1e-9", **chosen)
    first.launch = "one"
    first.resume()
    first.run()
    second = prepared(squares, tmp_path, minutes=minutes, **chosen)
    second.launch = launch

    second.resume()
    second.run()

    assert first.progress.step == 1
    assert (second.progress.step > 1) == goes_on
    if minutes == "9":
        # The training resumed inside the epoch that the time limit had interrupted.
        whole = prepared(squares, None, **chosen)
        whole.run()
        assert second.progress.step == whole.progress.step == 6
        ours, theirs = (one.train_step.export_network().state_dict() for one in (second, whole))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("export_if_stopped", [True, False])
def test_a_training_that_is_stopped_leaves_a_package_where_that_is_asked_for(
    squares, tmp_path, export_if_stopped
):
    points = []

    with pytest.raises(TrainingInterruptedError):
        train(
            options(crops="8", **{"network.channels": "[4,4]"}),
            collection(squares, "train"),
            collection(squares, "val"),
            tmp_path,
            stop=lambda: bool(points),
            on_epoch=points.append,
            export_if_stopped=export_if_stopped,
        )

    assert (tmp_path / PACKAGE).exists() == export_if_stopped
    if export_if_stopped:
        report = json.loads((tmp_path / "metrics.json").read_text())
        assert report["ended"] == "stopped"
        assert report["digest"] == load_package(tmp_path / PACKAGE).digest


def test_before_an_epoch_is_over_there_are_no_weights_worth_a_package(squares, tmp_path):
    with pytest.raises(TrainingInterruptedError):
        train(
            options(**{"network.channels": "[4,4]"}),
            collection(squares, "train"),
            None,
            tmp_path,
            stop=lambda: True,
            export_if_stopped=True,
        )

    assert not (tmp_path / PACKAGE).exists()


def test_it_ends_when_nothing_gets_better(squares):
    loop = prepared(squares, None, epochs="9", crops="8", patience="2", learning_rate="1e-9")
    progress = loop.run()

    assert progress.finished == "patience"
    assert progress.ended == progress.best_epoch + 2


def test_validations_come_when_they_are_due_and_at_the_end(squares):
    loop = prepared(
        squares, None, epochs="4", crops="8", validate_from="1", validate_every="2", keep="last"
    )
    progress = loop.run()

    assert ["ap50" in point for point in progress.curves] == [True, False, True, True]
    assert progress.kept.metrics["ap50"] == progress.curves[-1]["ap50"]


def test_hard_negatives_are_searched_for_when_they_are_due(squares):
    loop = prepared(
        squares,
        None,
        epochs="3",
        crops="8",
        hard_negatives="0.5",
        hard_negatives_from="1",
        hard_negatives_every="1",
        hard_negatives_score="0",
    )
    progress = loop.run()

    assert ["hard_negatives" in point for point in progress.curves] == [True, True, False]
    assert len(progress.negatives) == progress.curves[1]["hard_negatives"]
    assert {negative.uri.rsplit("/", 1)[-1] for negative in progress.negatives} <= set(SCENES)


def test_without_scenes_to_validate_on_the_last_weights_are_exported(squares):
    loop = prepared(squares, None, val=None, epochs="1", crops="8")
    loop.run()

    ours, average = (
        loop.train_step.export_network().state_dict(),
        loop.train_step.ema.network.state_dict(),
    )
    assert loop.progress.kept is None
    assert all(torch.equal(ours[name], average[name]) for name in average)


def test_scenes_held_out_are_validated_on_and_not_trained_on(squares):
    loop = prepared(squares, None, val=None, held_out="b.tif")

    assert [scene.name for scene in loop.scenes.scenes] == ["a.tif", "c.tif"]
    assert [scene.name for scene in loop.validator.collection.scenes] == ["b.tif"]


def test_a_loss_that_is_nan_ends_it_with_the_reason(squares):
    loop = prepared(squares, None)
    with torch.no_grad():
        next(loop.train_step.network.parameters()).fill_(torch.nan)

    with pytest.raises(TrainingError, match=r"step 0.*learning rate of 0\.0025.*is nan.*Lower"):
        loop.run()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"held_out": "b.tif"}, "leave out one of them"),
        ({"class_weights": "1,2"}, r"class_weights has 2 numbers and there are 1 classes"),
        ({"network.wings": "2"}, "no option wings"),
        ({"bands": "blue"}, "blue"),
    ],
)
def test_what_cannot_be_trained_is_refused(squares, changes, says):
    with pytest.raises(InputError, match=says):
        prepared(squares, None, **changes)


def test_the_process_is_left_as_it_was(squares):
    torch.manual_seed(5)
    before = torch.get_rng_state(), torch.get_num_threads()
    prepared(squares, None, epochs="1", crops="8").run()

    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_at_another_resolution_equals_training_on_resampled_scenes(squares, tmp_path):
    """Check a training with `gsd` against one on scenes that were averaged beforehand."""
    chosen = options(gsd="20", resampling="average", epochs="1", crops="16", tile_size="32")
    own = collection(squares, "train")
    averaged = replace(own, scenes=tuple(halve(scene, tmp_path) for scene in own.scenes))

    report = train(chosen, own, None, tmp_path / "own")
    expected = train(chosen, averaged, None, tmp_path / "averaged")

    package = load_package(tmp_path / "own" / PACKAGE).description
    assert (package.gsd, package.resampling) == (20, "average")
    assert without_times(report.curves) == without_times(expected.curves)
    assert weights(tmp_path / "own") == weights(tmp_path / "averaged")


def halve(scene, folder):
    """Return a labeled scene of half as many px along each axis, each the mean of four."""
    path = folder / scene.name
    with rasterio.open(scene.uri) as source:
        profile = source.profile | {"width": SIDE // 2, "height": SIDE // 2, "dtype": "float32"}
        profile["transform"] = source.transform @ rasterio.Affine.scale(2)
        means = source.read().reshape(2, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4))
        with rasterio.open(path, "w", **profile) as target:
            target.write(means.astype(np.float32))
            target.descriptions = source.descriptions
    outlines = shapely.transform(scene.outlines, lambda points: points / 2)
    sizes = {"width": SIDE // 2, "height": SIDE // 2}
    areas = None if scene.areas is None else scene.areas / 4
    return replace(
        scene, uri=str(path), boxes=scene.boxes / 2, outlines=outlines, areas=areas, **sizes
    )


def test_training_on_items_equals_training_on_their_files(squares, tmp_path):
    chosen = options(epochs="1", crops="16", bands="nir,red")
    files = collection(squares, "train"), collection(squares, "val")
    items = tuple(replace(one, scenes=tuple(map(to_item(tmp_path), one.scenes))) for one in files)

    curves = [run_loop(chosen, *collections) for collections in (files, items)]

    assert without_times(curves[0]) == without_times(curves[1])
    assert "ap50" in curves[0][0]


def to_item(folder):
    def convert(scene):
        item = write_item(folder / Path(scene.uri).stem, scene.uri, factors={})
        return replace(scene, uri=str(item))

    return convert


def run_loop(chosen, train_on, val_on):
    """Return the curves of a training without an export."""
    train_on, val_on = training._split_validation(chosen, train_on, val_on)
    inputs = training.TrainInputs.from_collection(train_on, chosen)
    with training._deterministic_torch(chosen):
        val_on = inputs.to_grid(val_on)
        loop, _ = training._prepare_loop(chosen, inputs, val_on, None, lambda: False, None)
        loop.run()
    return loop.progress.curves
