"""Scenarios of chaos: what is dropped, and what goes wrong meanwhile, all drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from local_cloud.faults import kinds

SCENES = 3
FUNCTIONS = ("StartRun", "PlanScene", "InferShard", "MergeDetections", "LoadDetections", "Publish")
HANDLERS = ("plan_scene", "infer_shard", "merge_detections", "load_detections", "publish_results")
ACTIONS = ("kill", "cut", "double", "replace", "delete", "damage", "lose")
"""What is done to the cloud, beside the faults that it is asked for."""


@dataclass(frozen=True)
class Scenario:
    """One seed's scenario.

    Attributes:
        backend: where shards run.
        scenes: which of the scenes are dropped, at once.
        faults: what is on while they run.
        actions: what is done while they run: an action, and a number that settles its details.
    """

    seed: int
    backend: str
    scenes: tuple[int, ...]
    faults: tuple[kinds.Fault, ...]
    actions: tuple[tuple[str, int], ...]


def draw(seed: int) -> Scenario:
    """Draw the scenario of a seed."""
    rng = random.Random(seed)
    backend = rng.choice(["lambda", "lambda", "batch"])
    scenes = tuple(rng.sample(range(SCENES), rng.randint(1, 2)))
    faults = tuple(_fault(rng, backend) for _ in range(rng.choice([0, 1, 1, 2])))
    number = rng.choice([1, 1, 2]) if not faults else rng.choice([0, 1])
    actions = tuple((rng.choice(ACTIONS), rng.randrange(1000)) for _ in range(number))
    return Scenario(seed, backend, scenes, faults, actions)


def _fault(rng: random.Random, backend: str) -> kinds.Fault:
    times = rng.randint(1, 3)
    choices: list[kinds.Fault] = [
        kinds.FunctionInactive(function=rng.choice(FUNCTIONS), times=times),
        kinds.SlowDown(key="/runs/", methods=(rng.choice(["GET", "PUT"]),), times=4 * times),
        kinds.ConnectionBroken(key=rng.choice(["/runs/", "/incoming/"]), times=times),
        kinds.DatabasePaused(seconds=2, refused=times),
        kinds.SlotsTaken(slots=times),
    ]
    if backend == "batch":
        choices += [
            kinds.SpotReclaimed(reported=rng.choice(["container", "host"]), times=1),
            kinds.ImageNotPulled(times=1),
            kinds.DockerTimeout(times=1),
            kinds.JobOutOfMemory(times=1),
        ]
    return rng.choice(choices)
