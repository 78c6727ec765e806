"""The modules that are mutated, the tests that may notice, and which mutants are drawn."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mutation.mutants import Mutant, find_mutants

TESTS = (
    "tests/unit",
    "tests/lambdas",
    "tests/batch_jobs",
    "tests/infra",
    "tests/sagemaker_jobs/test_serve_model.py",
)
"""Tests whose coverage is recorded. The local cloud's run in processes that see no mutant."""
LEFT_OUT = (
    "tests/unit/training",
    "tests/unit/sagemaker/jobs",
    "tests/unit/labels",
    "tests/unit/evaluation",
    "tests/infra/test_check.py",
)
"""Tests that reach the modules below only on their way to something else, and slowly."""

_RUN = (
    "src/swath/messages/execution_events.py",
    "src/swath/pipeline/start.py",
    "src/swath/pipeline/executions.py",
    "src/swath/pipeline/latest_drop.py",
    "src/swath/pipeline/run_store.py",
    "src/swath/pipeline/shard.py",
    "src/swath/pipeline/shard_attempt.py",
    "src/swath/pipeline/plan.py",
    "src/swath/pipeline/planning.py",
    "src/swath/pipeline/merge.py",
    "src/swath/storage/as_files.py",
    "src/swath/storage/local_files.py",
    "src/swath/storage/objects.py",
    "src/swath/storage/s3_objects.py",
    "src/swath/database/load.py",
    "src/swath/database/failures.py",
)
"""The modules that decide which rows a scene has. They get more mutants than their size says."""
_MODULES = (
    *_RUN,
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
    """A module that is mutated.

    Attributes:
        module: its path from the root of the repository.
        weight: its share of the mutants, beside the size of the module.
        tests: folders whose tests all see the module, whatever the coverage says: a fixture of the
            session runs it once for all of them.
    """

    module: str
    weight: float = 1
    tests: tuple[str, ...] = ()


def find_targets(root: Path) -> list[Target]:
    """Return the modules that are mutated."""
    paths = [path for pattern in _MODULES for path in sorted(root.glob(pattern))]
    modules = [path.relative_to(root).as_posix() for path in paths if path.name != "__init__.py"]
    return [_target(module) for module in modules]


def _target(module: str) -> Target:
    if module.startswith("infra/"):
        # Each mutant needs a synthesis of its own, half a minute.
        return Target(module, weight=0.4, tests=("tests/infra",))
    return Target(module, weight=1.8 if module in _RUN else 1)


def is_named(module: str, names: Sequence[str]) -> bool:
    """Tell whether a module's path contains one of the names; True without names."""
    return not names or any(name in module for name in names)


def draw(root: Path, targets: list[Target], *, seed: str, count: int) -> list[Mutant]:
    """Draw about so many mutants: more from large modules, and of each operator alike.

    The order of a mutant in the draw depends on the seed and its content, so that a change
    elsewhere in the module leaves it in the draw.
    """
    found = {target.module: find_mutants(root, target.module) for target in targets}
    shares = {
        target.module: target.weight * math.sqrt(len(found[target.module])) for target in targets
    }
    whole = sum(shares.values()) or 1
    drawn: list[Mutant] = []
    for target in targets:
        wanted = max(1, math.ceil(count * shares[target.module] / whole))
        drawn += _draw(found[target.module], seed, wanted)
    return drawn


def _draw(mutants: list[Mutant], seed: str, count: int) -> list[Mutant]:
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in sorted(mutants, key=lambda mutant: _rank(seed, mutant.id)):
        kinds[mutant.operator].append(mutant)
    order = sorted(kinds, key=lambda kind: _rank(seed, mutants[0].module, kind))
    rounds = max(map(len, kinds.values()), default=0)
    dealt = [
        kinds[kind][turn] for turn in range(rounds) for kind in order if turn < len(kinds[kind])
    ]
    return dealt[:count]


def _rank(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
