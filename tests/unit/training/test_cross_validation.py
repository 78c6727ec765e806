import json

import pytest

from swath.errors import InputError, TrainingInterruptedError
from swath.training import cross_validation
from swath.training.cross_validation import FOLDS_FILE, CrossValidation, cross_validate
from tests.helpers.squares import HELD_OUT, SCENES, collection, options

FEW = {"epochs": "2", "crops": "16", "network.channels": "[4,4]"}
ENOUGH = {"epochs": "3", "crops": "64", "network.channels": "[8,12,16]"}


def validated(squares, out, *, stop=lambda: False, points=None, **changes):
    told = [] if points is None else points
    return cross_validate(
        options(**FEW | changes),
        collection(squares, "labels"),
        2,
        out,
        stop=stop,
        on_epoch=lambda number: lambda point: told.append((number, point)),
    )


def test_every_scene_is_held_out_once_and_measured(squares, tmp_path):
    points = []
    found = validated(squares, tmp_path, points=points, **ENOUGH)

    assert sorted(name for fold in found.folds for name in fold.scenes) == [*SCENES, HELD_OUT]
    assert [fold.objects for fold in found.folds] == [28, 28]
    of_folds = [fold.metrics["ap50"] for fold in found.folds]
    assert found.mean["ap50"] == pytest.approx(sum(of_folds) / 2, abs=1e-6)
    assert found.mean["ap50"] > 0.3
    assert CrossValidation.from_json(json.loads((tmp_path / FOLDS_FILE).read_text())) == found
    for number, fold in enumerate(found.folds, 1):
        report = json.loads((tmp_path / f"fold-{number}" / "metrics.json").read_text())
        assert not set(fold.scenes) & set(report["data"]["training"]["scenes"])
    # Validation runs only after the last epoch, so that held-out data chooses no weights.
    assert [(number, "ap50" in point) for number, point in points] == [
        (1, False),
        (1, False),
        (1, True),
        (2, False),
        (2, False),
        (2, True),
    ]


def test_stopped_it_goes_on_and_does_nothing_twice(squares, tmp_path, monkeypatch):
    whole = validated(squares, tmp_path / "whole")
    folder = tmp_path / "stopped"
    done = folder / "fold-1" / "metrics.json"
    with pytest.raises(TrainingInterruptedError):
        validated(squares, folder, stop=done.is_file)
    trained = []
    real = cross_validation.train

    def counted(chosen, *args, **kwargs):
        trained.append(chosen.held_out)
        return real(chosen, *args, **kwargs)

    monkeypatch.setattr(cross_validation, "train", counted)
    assert validated(squares, folder) == whole
    assert len(trained) == 1


def test_folds_of_other_options_are_not_taken_for_these(squares, tmp_path):
    validated(squares, tmp_path)
    with pytest.raises(InputError, match="fold-1 has a training with other options"):
        validated(squares, tmp_path, learning_rate="0.02")


def test_options_that_hold_scenes_out_themselves_are_refused(squares, tmp_path):
    with pytest.raises(InputError, match="leave out held_out"):
        validated(squares, tmp_path, held_out=HELD_OUT)
