import re

from swath.training.log_lines import METRIC_REGEXES, format_log_line

POINT = {
    "epoch": 3,
    "step": 1200,
    "learning_rate": 1.5e-05,
    "loss": 0.8123456,
    "loss_box": 0.3,
    "ap50": 0.5,
    "ap": 0.25,
    "seconds": 12.3,
}


def test_sagemakers_expressions_find_each_figure_and_no_other():
    line = format_log_line(POINT)
    found = {name: re.findall(expression, line) for name, expression in METRIC_REGEXES.items()}

    assert found["train:loss"] == ["0.812346"]
    assert found["train:learning_rate"] == ["1.5e-05"]
    assert found["validation:ap50"] == ["0.5"]
    assert found["validation:ap"] == ["0.25"]
    assert found["validation:miou"] == []


def test_a_line_names_its_epoch_and_step():
    assert format_log_line(POINT).startswith("epoch=3; step=1200; train:loss=0.812346; ")
    assert format_log_line(POINT | {"hard_negatives": 7}).endswith("hard_negatives=7; seconds=12")
