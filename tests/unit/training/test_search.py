import json

import msgspec
import pytest

from swath.errors import InputError
from swath.training.options import TrainOptions
from swath.training.search import OptionRange, Search, read_search, run_search

SEARCH = Search(
    ranges={
        "learning_rate": OptionRange(low=1e-4, high=1e-1, log=True),
        "epochs": OptionRange(low=1, high=9),
        "network": OptionRange(choices=("detector", "unet")),
    },
    trials=12,
)


def score(options):
    """Return a score that is best for a detector with a learning rate of 0.01 and few epochs."""
    distance = abs(options.learning_rate / 0.01 - 1) + options.epochs / 9
    return (options.network == "detector") - distance


class Trainer:
    """A stub of training that counts its calls and returns a metric determined by the options."""

    def __init__(self, *, until=None):
        self.options, self.folders = [], []
        self.until = until

    def __call__(self, options, out):
        if len(self.options) == self.until:
            self.stopped = (options, out)
            raise KeyboardInterrupt
        self.options.append(options)
        self.folders.append(out)
        return {"ap50": score(options)}


def test_the_best_training_is_found_and_its_options_told(tmp_path):
    trainer = Trainer()

    outcome = run_search(SEARCH, TrainOptions(batch_size=2), trainer, tmp_path)

    assert len(trainer.options) == 12
    assert outcome.value == max(map(score, trainer.options))
    best = TrainOptions(batch_size=2).replaced(outcome.chosen)
    assert best == trainer.options[trainer.folders.index(outcome.folder)]
    assert best.batch_size == 2
    assert len(set(trainer.folders)) == 12


@pytest.mark.parametrize(
    ("search", "options", "data", "other"),
    [
        (Search(ranges={"epochs": OptionRange(low=1, high=9)}), {}, {}, "ranges"),
        (msgspec.structs.replace(SEARCH, direction="minimize"), {}, {}, "metric"),
        (SEARCH, {"batch_size": 2}, {}, "options"),
        (SEARCH, {}, {"images": "others"}, "data: images"),
    ],
)
def test_a_search_is_not_compared_with_another_one(tmp_path, search, options, data, other):
    run_search(SEARCH, TrainOptions(), Trainer(), tmp_path, {"images": "scenes"})

    with pytest.raises(InputError, match=f"has a search with other {other}"):
        run_search(
            search, TrainOptions(**options), Trainer(), tmp_path, {"images": "scenes"} | data
        )


def test_values_stay_within_their_ranges(tmp_path):
    trainer = Trainer()

    run_search(SEARCH, TrainOptions(), trainer, tmp_path)

    assert all(1e-4 <= one.learning_rate <= 1e-1 for one in trainer.options)
    assert all(1 <= one.epochs <= 9 for one in trainer.options)
    assert {one.network for one in trainer.options} == {"detector", "unet"}


def test_a_search_that_was_stopped_goes_on(tmp_path):
    first, second = Trainer(until=5), Trainer()
    with pytest.raises(KeyboardInterrupt):
        run_search(SEARCH, TrainOptions(), first, tmp_path)

    outcome = run_search(SEARCH, TrainOptions(), second, tmp_path)

    assert len(first.options) + len(second.options) == 12
    # The trial resumes in its old folder, which has its checkpoint.
    assert (second.options[0], second.folders[0]) == first.stopped
    assert outcome.value == max(map(score, first.options + second.options))


def test_a_search_that_is_done_trains_no_more(tmp_path):
    done = run_search(SEARCH, TrainOptions(), Trainer(), tmp_path)

    assert run_search(SEARCH, TrainOptions(), Trainer(until=0), tmp_path) == done


def test_a_metric_that_trainings_do_not_report(tmp_path):
    search = Search(ranges=SEARCH.ranges, metric="miou")

    with pytest.raises(InputError, match="trainings report ap50, but the search compares 'miou'"):
        run_search(search, TrainOptions(), Trainer(), tmp_path)


class TestReading:
    def refusal(self, tmp_path, content):
        path = tmp_path / "search.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(InputError) as told:
            read_search(str(path), TrainOptions())
        assert str(path) in str(told.value)
        return str(told.value)

    @pytest.mark.parametrize("name", ["search.json", "search.toml"])
    def test_of_either_form(self, tmp_path, name):
        content = {"trials": 3, "ranges": {"epochs": {"low": 2, "high": 5}}}
        toml = "trials = 3\n[ranges.epochs]\nlow = 2\nhigh = 5\n"
        (tmp_path / name).write_text(toml if name.endswith("toml") else json.dumps(content))

        search = read_search(str(tmp_path / name), TrainOptions())

        assert search == Search(trials=3, ranges={"epochs": OptionRange(low=2, high=5)})
        assert search.ranges["epochs"].is_integer

    def test_no_file(self):
        with pytest.raises(InputError, match=r"search none\.json does not exist"):
            read_search("none.json", TrainOptions())

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("{", "is not a search"),
            ({"ranges": {}}, "has no ranges"),
            ({"ranges": {"epoch": {"low": 1, "high": 2}}}, "no option 'epoch'"),
            ({"ranges": {"epochs": {"low": 0, "high": 2}}}, "epochs is '0'"),
            ({"ranges": {"epochs": {"low": 3, "high": 2}}}, "low must be less"),
            ({"ranges": {"epochs": {"choices": [1], "high": 2}}}, "give one of them"),
            ({"ranges": {"learning_rate": {"low": 0, "high": 1, "log": True}}}, "above 0"),
            ({"ranges": {"network": {"choices": ["yolo"]}}}, "network is 'yolo'"),
            ({"ranges": {"epochs": {"low": 1, "high": 2}}, "trial": 3}, "trial"),
        ],
    )
    def test_what_cannot_be_searched(self, tmp_path, content, reason):
        assert reason in self.refusal(tmp_path, content)
