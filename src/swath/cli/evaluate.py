"""Define `swath evaluate`, which measures a model package on labeled scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer  # noqa: TC002 (typer reads the annotations)
from rich.table import Table

from swath.cli.console import print_line, print_table, print_warning, progress_bar
from swath.cli.options import inputs, jobs, limits
from swath.cli.options.inputs import NO_LABELS
from swath.cli.remote import check_options, confirm_cost, require_out, split_list
from swath.errors import GateError
from swath.labels.renaming import parse_class_map

if TYPE_CHECKING:
    from swath.evaluation.results import Evaluation
    from swath.sagemaker.jobs.evaluate import EvaluationJob


def evaluate(
    context: typer.Context,
    model: inputs.Model,
    labels: inputs.Labels,
    scenes: inputs.Scenes,
    *,
    label_format: inputs.LabelFormat = "auto",
    classes: inputs.Classes = None,
    class_map: inputs.ClassMap = None,
    against: limits.Against = None,
    fail_below: limits.FailBelow = None,
    tolerance: limits.Tolerance = 0.0,
    score_floor: limits.ScoreFloor = 0.01,
    tolerated_failures: limits.ToleratedFailures = 0.0,
    local: jobs.Local = True,
    out: jobs.LocalOut = None,
    stack: jobs.Stack = "swath",
    instance_type: jobs.InstanceType = "ml.m5.xlarge",
    hours: jobs.Hours = 2,
    hourly_price: jobs.HourlyPrice = None,
    yes: jobs.Yes = False,
) -> None:
    """Measure a model package on labeled scenes; write evaluation.json and report.html."""
    from swath.evaluation.assess import assess, check_class_map, parse_bounds, read_labels
    from swath.evaluation.evaluate import REPORT_FILE

    check_options(context, local=local)
    bounds = parse_bounds(fail_below or [])
    names, other_names = split_list(classes), parse_class_map(class_map or [])
    if not local:
        if other_names:
            check_class_map(model, other_names)
        from swath.sagemaker.jobs.evaluate import EvaluationJob

        job = EvaluationJob(
            package=model,
            images=scenes,
            labels=None if labels == NO_LABELS else labels,
            against=against,
            arguments=_container_arguments(
                {
                    "--format": [label_format],
                    "--classes": [] if classes is None else [classes],
                    "--map": class_map or [],
                    "--fail-below": fail_below or [],
                    "--tolerance": [tolerance],
                    "--score-floor": [score_floor],
                    "--tolerated-failures": [tolerated_failures],
                }
            ),
            instance_type=instance_type,
            hours=hours,
            hourly_price=hourly_price,
        )
        _launch(job, stack, yes=yes)
        return
    out = require_out(out)
    collection = read_labels(
        model,
        None if labels == NO_LABELS else labels,
        scenes,
        label_format=label_format,
        classes=names,
        class_map=other_names,
    )
    with progress_bar("tiles") as update:
        evaluation, verdict = assess(
            model,
            collection,
            out,
            against=against,
            fail_below=bounds,
            tolerance=tolerance,
            score_floor=score_floor,
            tolerated_failures=tolerated_failures,
            progress=lambda uri, done, total: update(uri.rsplit("/", 1)[-1], done, total),
        )
    for warning in evaluation.warnings:
        print_warning(warning)
    print_table(_metrics_table(evaluation))
    print_line(f"report: {out / REPORT_FILE}")
    if not verdict.passed:
        raise GateError(str(verdict))


def _container_arguments(options: Mapping[str, Sequence[str | float]]) -> list[str]:
    """Return the options as command-line arguments of the job's container."""
    return [
        word for name, values in options.items() for value in values for word in (name, str(value))
    ]


def _launch(job: EvaluationJob, stack: str, *, yes: bool) -> None:
    from swath.sagemaker.jobs.evaluate import check_evaluation, launch_evaluation, max_cost
    from swath.stack import Deployment

    deployment = Deployment.from_stack(stack)
    check_evaluation(job, deployment)
    confirm_cost(max_cost(job, deployment.region), yes=yes)
    started = launch_evaluation(job, deployment)
    print_line(f"started the processing job {started.name}")
    print_line(f"its report will be below {started.report}")


def _metrics_table(evaluation: Evaluation) -> Table:
    """Return the metrics that have a value."""
    table = Table("metric", "value", title=f"{evaluation.package.name}, all classes")
    for name, value in evaluation.metrics.items():
        if value is not None:
            table.add_row(name, f"{value:.4f}")
    return table
