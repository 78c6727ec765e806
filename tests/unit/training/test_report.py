import json
from html.parser import HTMLParser

import msgspec
import pytest

from swath.training.report import METRICS_FILE, REPORT_FILE, TrainReport, draw_curves, render_page


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 (its signature)
        self.seen.append(tag)
        if tag not in {"meta", "br", "path", "use", "rect"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):  # noqa: ARG002
        self.seen.append(tag)

    def handle_endtag(self, tag):
        if self.open and tag == self.open[-1]:
            self.open.pop()


def test_the_files_tell_the_report(trained):
    read = TrainReport.from_json(json.loads((trained.folder / METRICS_FILE).read_text()))

    assert read == trained.report
    assert (trained.folder / REPORT_FILE).read_text() == render_page(trained.report)


def test_the_page_needs_no_other_file_and_is_whole(trained):
    text = render_page(trained.report)
    tags = Tags()
    tags.feed(text)

    assert tags.open == []
    assert tags.seen.count("svg") == 1
    assert 'src="' not in text
    assert "link rel" not in text
    for said in ("AP at IoU 0.5", "learning rate", "validation", trained.report.digest):
        assert said in text


def test_what_users_wrote_is_text(trained):
    report = msgspec.structs.replace(trained.report, options={"note": "<script>x</script>"})

    assert "<script>" not in render_page(report)


@pytest.mark.parametrize("metrics", [{}, {"ap50": 0.5}])
def test_without_a_validation_it_says_so(trained, metrics):
    report = msgspec.structs.replace(
        trained.report,
        metrics=metrics,
        curves=[{"epoch": 1, "step": 3, "learning_rate": 0.1, "loss": 1.0, **metrics}],
        best_epoch=1 if metrics else 0,
    )

    assert ("no validation scenes" in render_page(report)) == (not metrics)


def test_the_same_curves_give_the_same_bytes(trained):
    assert draw_curves(trained.report.curves, 2) == draw_curves(trained.report.curves, 2)
