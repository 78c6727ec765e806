"""Write a training's metrics as log lines, and define how SageMaker reads them from the log."""

from __future__ import annotations

from collections.abc import Mapping

_OF_TRAINING = ("loss", "learning_rate")
_OF_VALIDATION = ("ap50", "ap", "miou", "f1", "precision", "recall")
_NUMBER = r"([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)"

METRICS = {
    **{f"train:{name}": rf"train:{name}={_NUMBER}" for name in _OF_TRAINING},
    **{f"validation:{name}": rf"validation:{name}={_NUMBER}" for name in _OF_VALIDATION},
}
"""SageMaker's metric definitions for a training job: a regular expression of the log by name.
https://docs.aws.amazon.com/sagemaker/latest/dg/define-train-metrics.html"""


def line_of(point: Mapping[str, float]) -> str:
    """Return the metrics of an epoch as a log line."""
    parts = [f"epoch={point['epoch']:g}", f"step={point['step']:g}"]
    parts += [f"train:{name}={point[name]:.6g}" for name in _OF_TRAINING if name in point]
    parts += [f"validation:{name}={point[name]:.6g}" for name in _OF_VALIDATION if name in point]
    if "hard_negatives" in point:
        parts.append(f"hard_negatives={point['hard_negatives']:g}")
    return "; ".join([*parts, f"seconds={point['seconds']:.0f}"])
