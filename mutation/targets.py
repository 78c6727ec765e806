"""Define the mutated modules and their tests, and draw mutants."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mutation.mutants import Mutant, list_mutants

TESTS = (
    "tests/unit",
    "tests/lambdas",
    "tests/batch_jobs",
    "tests/infra",
    "tests/sagemaker_jobs/test_serve_model.py",
)
"""Tests whose coverage is recorded. Those of the local cloud run in processes without mutants."""
EXCLUDED_TESTS = (
    "tests/unit/training",
    "tests/unit/sagemaker/jobs",
    "tests/unit/labels",
    "tests/unit/evaluation",
    "tests/infra/test_check.py",
)
"""Slow tests that reach the modules below only indirectly."""

_RUN_MODULES = (
    "src/swath/messages/execution_events.py",
    "src/swath/pipeline/start.py",
    "src/swath/pipeline/executions.py",
    "src/swath/pipeline/latest_drop.py",
    "src/swath/pipeline/run_store.py",
    "src/swath/pipeline/shard.py",
    "src/swath/pipeline/shard_attempt.py",
    "src/swath/pipeline/plan.py",
    "src/swath/pipeline/planning.py",
    "src/swath/pipeline/scene_plan.py",
    "src/swath/pipeline/merge.py",
    "src/swath/storage/as_files.py",
    "src/swath/storage/local_files.py",
    "src/swath/storage/objects.py",
    "src/swath/storage/s3_objects.py",
    "src/swath/database/load.py",
    "src/swath/database/failures.py",
)
"""Modules that determine which rows a scene has. They get additional mutants."""
_MODULES = (
    *_RUN_MODULES,
    "src/swath/detection/engine.py",
    "src/swath/raster/georeference.py",
    "src/swath/raster/polygons.py",
    "src/swath/models/package.py",
    "src/swath/models/packing.py",
    "src/swath/models/mlm*.py",
    "src/swath/database/copy_rows.py",
    "src/swath/raster/files/*.py",
    "src/swath/raster/reader/*.py",
    "src/swath/detection/stitching/*.py",
    "src/swath/detection/boxes.py",
    "src/swath/detection/nms.py",
    "src/swath/detection/overlap.py",
    "src/swath/sagemaker/server/batcher.py",
    "src/swath/models/runtimes/onnx.py",
    "src/swath/models/runtimes/padding.py",
    "src/swath/models/scaling.py",
    "infra/retries.py",
    "infra/grants.py",
    "infra/shard_states.py",
    "infra/constructs/gpu_queue.py",
)


@dataclass(frozen=True)
class Target:
    """Module that is mutated.

    Attributes:
        module: Path of the module from the root of the repository.
        weight: Factor of the number of mutants, besides the size of the module.
        tests: Folders whose tests all depend on the module, whatever the coverage is: a session
            fixture runs the module once for all of them.
    """

    module: str
    weight: float = 1
    tests: tuple[str, ...] = ()


def list_targets(root: Path) -> list[Target]:
    """Return the modules that are mutated."""
    paths = [path for pattern in _MODULES for path in sorted(root.glob(pattern))]
    modules = [path.relative_to(root).as_posix() for path in paths if path.name != "__init__.py"]
    return [_target(module) for module in modules]


def _target(module: str) -> Target:
    if module.startswith("infra/"):
        # Each mutant needs a synthesis of its own, half a minute.
        return Target(module, weight=0.4, tests=("tests/infra",))
    return Target(module, weight=1.8 if module in _RUN_MODULES else 1)


def matches_names(module: str, names: Sequence[str]) -> bool:
    """Return whether a module's path contains one of the names; True without names."""
    return not names or any(name in module for name in names)


def draw_mutants(root: Path, targets: list[Target], *, seed: str, count: int) -> list[Mutant]:
    """Draw about `count` mutants: more of large modules, and equally many of each operator.

    The order of a mutant in the draw depends on the seed and its content, so that a change
    elsewhere in the module leaves it in the draw.
    """
    mutants_by_module = {target.module: list_mutants(root, target.module) for target in targets}
    weights = {
        target.module: target.weight * math.sqrt(len(mutants_by_module[target.module]))
        for target in targets
    }
    total_weight = sum(weights.values()) or 1
    drawn: list[Mutant] = []
    for target in targets:
        target_count = max(1, math.ceil(count * weights[target.module] / total_weight))
        drawn += _draw_module(mutants_by_module[target.module], seed, target_count)
    return drawn


def _draw_module(mutants: list[Mutant], seed: str, count: int) -> list[Mutant]:
    by_operator: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in sorted(mutants, key=lambda mutant: _random_key(seed, mutant.id)):
        by_operator[mutant.operator].append(mutant)
    order = sorted(by_operator, key=lambda kind: _random_key(seed, mutants[0].module, kind))
    rounds = max(map(len, by_operator.values()), default=0)
    drawn = [
        by_operator[kind][turn]
        for turn in range(rounds)
        for kind in order
        if turn < len(by_operator[kind])
    ]
    return drawn[:count]


def _random_key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
