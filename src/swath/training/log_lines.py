"""Write a training's metrics as log lines, and define how SageMaker reads them from the log."""

from __future__ import annotations

from collections.abc import Mapping

_TRAIN_METRICS = ("loss", "learning_rate")
_VALIDATION_METRICS = ("ap50", "ap", "miou", "f1", "precision", "recall")
_NUMBER = r"([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)"

METRIC_REGEXES = {
    **{f"train:{name}": rf"train:{name}={_NUMBER}" for name in _TRAIN_METRICS},
    **{f"validation:{name}": rf"validation:{name}={_NUMBER}" for name in _VALIDATION_METRICS},
}
"""SageMaker's metric definitions for a training job: a regular expression of the log by name.
https://docs.aws.amazon.com/sagemaker/latest/dg/define-train-metrics.html"""


def format_log_line(metrics: Mapping[str, float]) -> str:
    """Return the metrics of an epoch as a log line."""
    parts = [f"epoch={metrics['epoch']:g}", f"step={metrics['step']:g}"]
    parts += [f"train:{name}={metrics[name]:.6g}" for name in _TRAIN_METRICS if name in metrics]
    parts += [
        f"validation:{name}={metrics[name]:.6g}" for name in _VALIDATION_METRICS if name in metrics
    ]
    if "hard_negatives" in metrics:
        parts.append(f"hard_negatives={metrics['hard_negatives']:g}")
    return "; ".join([*parts, f"seconds={metrics['seconds']:.0f}"])
