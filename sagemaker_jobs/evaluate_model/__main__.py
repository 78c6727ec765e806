"""Evaluate a model package: `python -m sagemaker_jobs.evaluate_model [--fail-below AP50=0.3] …`.

A SageMaker Processing job copies its inputs to folders before it starts, and its output to S3 when
it ends: https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html

    input/model    the model package: its files, or a `model.tar.gz`
    input/labels   the labels, one file or several; absent if they are beside the images
    input/images   the scenes
    input/in_use   the package in use, or its `evaluation.json`; may be absent
    output         `evaluation.json`, `report.html` and `verdict.json`

The exit code is a `JobExit`, and the job's ExitMessage holds the reason.
https://docs.aws.amazon.com/sagemaker/latest/dg/byoc-metadata.html
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from swath.errors import InputError
from swath.errors.exit_codes import JobExit
from swath.evaluation.assess import assess, parse_bounds, parse_label_format, read_labels
from swath.evaluation.evaluate import DEFAULT_SCORE_FLOOR
from swath.evaluation.gate import GateResult
from swath.labels.renaming import parse_class_map
from swath.models.packing import DESCRIPTION_FILE
from swath.observability.jobs import log_to_stderr, run_job
from swath.sagemaker.jobs.reason import write_reason

ROOT = Path("/opt/ml")

logger = logging.getLogger("swath.evaluate_model")


def main(arguments: Sequence[str], root: Path = ROOT) -> JobExit:
    """Evaluate the package in the job's folders."""
    options = _parse(arguments)
    message = root / "output" / "message"

    def measure() -> JobExit:
        verdict = _assess(options, root / "processing")
        logger.info("%s", verdict)
        write_reason(message, str(verdict))
        return JobExit.DONE if verdict.passed else JobExit.REFUSED

    def leave(error: Exception, _code: JobExit) -> None:
        write_reason(message, f"{type(error).__name__}: {error}")

    return run_job(measure, logger=logger, on_error=leave)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sagemaker_jobs.evaluate_model")
    parser.add_argument(
        "--fail-below",
        action="append",
        default=[],
        metavar="METRIC=X",
        help="minimum of a metric, as AP50=0.3",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        help="allowed decrease of a metric below the package in use",
    )
    parser.add_argument("--format", default="auto", help="format of the labels")
    parser.add_argument("--classes", metavar="A,B", help="names of the classes, in order")
    parser.add_argument(
        "--map", action="append", default=[], metavar="A=B", help="name B of class A of the labels"
    )
    parser.add_argument("--score-floor", type=float, default=DEFAULT_SCORE_FLOOR)
    parser.add_argument("--tolerated-failures", type=float, default=0.0)
    return parser.parse_args(arguments)


def _assess(options: argparse.Namespace, folder: Path) -> GateResult:
    inputs = folder / "input"
    bounds = parse_bounds(options.fail_below)
    package = _package(inputs / "model")
    _, verdict = assess(
        package,
        read_labels(
            package,
            _labels(inputs / "labels"),
            str(inputs / "images"),
            label_format=parse_label_format(options.format),
            classes=None if options.classes is None else options.classes.split(","),
            class_map=parse_class_map(options.map),
        ),
        folder / "output",
        against=_in_use(inputs / "in_use"),
        fail_below=bounds,
        tolerance=options.tolerance,
        score_floor=options.score_floor,
        tolerated_failures=options.tolerated_failures,
        progress=_TenthsLogger(),
    )
    return verdict


class _TenthsLogger:
    """Log the progress of a scene at each tenth."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self, scene: str, done: int, total: int) -> None:
        tenths = 10 * done // total if total else 10
        if not done or tenths > self._last:
            logger.info("%s: %d of %d tiles", scene, done, total)
        self._last = tenths


def _labels(folder: Path) -> str | None:
    """Return the only labels file, or the folder of several; None if there is none."""
    files = sorted(folder.glob("*"))
    return str(files[0] if len(files) == 1 else folder) if files else None


def _in_use(folder: Path) -> str | None:
    """Return the evaluation of the package in use, or that package; None if neither is given."""
    if not folder.is_dir():
        return None
    evaluations = sorted(folder.glob("*.json"))
    known = len(evaluations) == 1 and evaluations[0].name != DESCRIPTION_FILE
    return str(evaluations[0]) if known else _package(folder)


def _package(folder: Path) -> str:
    """Return the package in a folder: the folder itself, or the only archive in it.

    Raises:
        InputError: The folder holds neither, or several archives.
    """
    if (folder / DESCRIPTION_FILE).is_file():
        return str(folder)
    archives = sorted(folder.glob("*.tar.gz"))
    if len(archives) != 1:
        raise InputError(
            f"{folder} has neither {DESCRIPTION_FILE} nor exactly one .tar.gz, but "
            f"{[path.name for path in archives]}; give the job one package as its input model"
        )
    return str(archives[0])


if __name__ == "__main__":
    log_to_stderr()
    sys.exit(main(sys.argv[1:]))
