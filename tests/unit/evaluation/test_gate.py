import json
from pathlib import Path

import msgspec
import pytest

from swath.errors import InputError, SwathError
from swath.evaluation.assess import (
    IN_USE_FOLDER,
    VERDICT_FILE,
    assess,
    parse_bounds,
    read_evaluation,
)
from swath.evaluation.evaluate import EVALUATION_FILE, evaluate, metric_names
from swath.evaluation.gate import GateResult, check_bounds, compare
from tests.helpers.labeled import around, collection_of, dots
from tests.helpers.packages import write_package

PLACES = [(5, 5), (40, 40), (80, 20)]


@pytest.fixture
def collection(make_scene):
    return collection_of([(make_scene(dots(PLACES)), around(PLACES))])


@pytest.fixture
def in_use(package, collection, tmp_path):
    return evaluate(package, collection, tmp_path / "measured", report=False)


def lower(evaluation, **figures):
    return msgspec.structs.replace(evaluation, metrics=evaluation.metrics | figures)


def test_what_is_as_good_passes(in_use):
    verdict = compare(in_use, in_use)

    assert verdict.passed
    assert str(verdict) == "passed: AP, AP50, best_F1"


def test_shortfalls_are_reported(in_use):
    verdict = compare(lower(in_use, AP=0.9, best_F1=0.75), in_use)

    assert not verdict.passed
    assert str(verdict) == (
        "refused: AP is 0.9000, 0.1000 below 1.0000; best_F1 is 0.7500, 0.2500 below 1.0000"
    )


def test_a_tolerance(in_use):
    assert compare(lower(in_use, AP=0.96), in_use, 0.05).passed
    assert not compare(lower(in_use, AP=0.94), in_use, 0.05).passed


def test_a_missing_metric_is_a_shortfall(in_use):
    verdict = compare(lower(in_use, AP=None), in_use)

    assert str(verdict) == "refused: AP has no value and must be 1.0000"


def test_a_metric_that_the_package_in_use_lacks_is_not_compared(in_use):
    verdict = compare(in_use, lower(in_use, AP50=None))

    assert verdict.passed
    assert "AP50" not in verdict.compared


def test_other_metrics(in_use):
    assert compare(lower(in_use, AP=0.1), in_use, metrics=["recall"]).passed
    with pytest.raises(InputError, match="has no metric speed; it has AP, "):
        compare(in_use, in_use, metrics=["speed"])


def test_another_collection_cannot_be_compared(in_use):
    used = msgspec.structs.replace(in_use.collection, digest="0" * 64)

    with pytest.raises(InputError, match="evaluate both on the same collection"):
        compare(in_use, msgspec.structs.replace(in_use, collection=used))


def test_other_conditions_cannot_be_compared(in_use):
    other = msgspec.structs.replace(in_use.conditions, score_floor=0.3)

    with pytest.raises(InputError, match="evaluate both under the same conditions"):
        compare(in_use, msgspec.structs.replace(in_use, conditions=other))


def test_packages_may_have_thresholds_of_their_own(in_use):
    package = msgspec.structs.replace(in_use.package, score_threshold=0.3, reported_from=0.005)

    assert compare(msgspec.structs.replace(in_use, package=package), in_use).passed


def test_bounds(in_use):
    assert check_bounds(in_use, {"AP": 1.0}).passed
    assert str(check_bounds(in_use, {"AP": 1.01})) == "refused: AP is 1.0000, 0.0100 below 1.0100"


def test_bounds_are_read():
    assert parse_bounds(["AP50=0.3", "F1=.5"]) == {"AP50": 0.3, "F1": 0.5}
    with pytest.raises(InputError, match=r"'AP50' is not a bound"):
        parse_bounds(["AP50"])


@pytest.fixture
def blind(tmp_path):
    """Return a package that detects nothing."""

    def change(item):
        item["properties"]["mlm:hyperparameters"]["iou_threshold"] = 0.4
        item["properties"]["mlm:input"][0]["value_scaling"] = [{"type": "scale", "value": 1e9}]

    return write_package(tmp_path / "blind", change)


def test_a_worse_package_is_refused(package, blind, collection, tmp_path):
    out = tmp_path / "out"

    _, verdict = assess(blind, collection, out, against=str(package))

    assert not verdict.passed
    assert {shortfall.metric for shortfall in verdict.shortfalls} == {"AP", "AP50", "best_F1"}
    assert GateResult.from_json(json.loads((out / VERDICT_FILE).read_text())) == verdict
    assert read_evaluation(str(out / IN_USE_FOLDER / EVALUATION_FILE)).metrics["AP"] == 1


def test_a_better_package_passes(package, blind, collection, tmp_path):
    evaluate(blind, collection, tmp_path / "before", report=False)

    _, verdict = assess(
        package, collection, tmp_path / "out", against=str(tmp_path / "before" / EVALUATION_FILE)
    )

    assert verdict.passed


def test_bounds_and_a_package_in_use_together(package, collection, tmp_path):
    _, verdict = assess(
        package,
        collection,
        tmp_path / "out",
        against=str(package),
        fail_below={"recall": 1.0, "AP": 1.1},
    )

    assert verdict.compared == ("recall", "AP", "AP50", "best_F1")
    assert [shortfall.metric for shortfall in verdict.shortfalls] == ["AP"]


def test_an_evaluation_that_is_none(tmp_path):
    with pytest.raises(InputError, match="there is no evaluation at"):
        read_evaluation(str(tmp_path / "absent.json"))
    (tmp_path / "text.json").write_text("metrics")
    with pytest.raises(InputError, match=r"text\.json is not an evaluation"):
        read_evaluation(str(tmp_path / "text.json"))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_holds_nothing(in_use, number):
    with pytest.raises(InputError, match="give a finite number"):
        check_bounds(in_use, {"AP": number})
    with pytest.raises(InputError, match=r"the tolerance is .*give a finite number"):
        compare(lower(in_use, AP=0.1), in_use, number)
    with pytest.raises(InputError, match="which is not possible"):
        compare(lower(in_use, AP=number), in_use)
    with pytest.raises(InputError, match="which is not possible"):
        compare(in_use, lower(in_use, AP=number))
    with pytest.raises(InputError, match="give a finite number"):
        parse_bounds([f"AP={number}"])


def test_a_package_in_use_without_metrics_lets_nothing_pass(in_use):
    nothing = lower(in_use, AP=None, AP50=None, best_F1=None)

    with pytest.raises(
        InputError, match="nothing to compare; evaluate both packages on scenes with labeled"
    ):
        compare(in_use, nothing)


def test_the_rounding_of_a_difference_is_no_fall(in_use):
    assert compare(lower(in_use, AP=0.7), lower(in_use, AP=0.8), 0.1).passed  # 0.8 - 0.1 > 0.7
    assert not compare(lower(in_use, AP=0.6999), lower(in_use, AP=0.8), 0.1).passed


def test_two_bounds_of_one_metric():
    assert parse_bounds(["AP=0.3", "AP=0.30"]) == {"AP": 0.3}
    with pytest.raises(InputError, match=r"AP has two bounds, 0\.3 and 0\.5; give one"):
        parse_bounds(["AP=0.3", "AP=0.5"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"fail_below": {"mIoU": 0.3}}, "detection has no metric mIoU; it has AP, AP50"),
        ({"tolerance": float("nan")}, "the tolerance is nan"),
        ({"score_floor": float("nan")}, "the score floor is nan; it must be a number from 0 to 1"),
        (
            {"tolerated_failures": 2.0},
            "share of failures is 2.0; it must be a number from 0 to 1",
        ),
    ],
)
def test_arguments_are_checked_before_anything_is_evaluated(
    package, collection, tmp_path, asked, message
):
    out = tmp_path / "out"

    with pytest.raises(InputError, match=message):
        assess(package, collection, out, **asked)

    assert not out.exists()


def test_the_names_that_are_checked_are_those_of_the_metrics(in_use):
    assert metric_names("detection") == tuple(in_use.metrics)


def test_a_verdict_of_before_does_not_outlive_a_run_that_fails(package, collection, tmp_path):
    out = tmp_path / "out"
    assess(package, collection, out, fail_below={"AP": 1.0})
    gone = collection_of([(collection.scenes[0].uri, around(PLACES))])
    Path(collection.scenes[0].uri).unlink()

    with pytest.raises(SwathError):
        assess(package, gone, out)

    assert not (out / VERDICT_FILE).exists()
