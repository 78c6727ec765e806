"""Scenarios of chaos: what is dropped, and what goes wrong meanwhile, all drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from local_cloud.faults import kinds

CHOSEN = (1, 7, 14, 15, 20, 29, 87, 91, 125, 143, 162, 188)
"""The seeds of `make test`: quick ones, with everything among them that can go wrong."""
SCENES = 3
WORKERS: Mapping[str, tuple[str, ...]] = {
    "lambda": ("lambdas.infer_shard",),
    "batch": ("batch_jobs.infer_shard",),
    "sagemaker-realtime": ("lambdas.invoke_endpoint", "sagemaker_jobs.serve_model"),
    "sagemaker-async": ("lambdas.submit_shard", "sagemaker_jobs.serve_model"),
    "sagemaker-serverless": ("lambdas.invoke_endpoint", "sagemaker_jobs.serve_model"),
}
"""Part of the command line of the processes that run the shards of each backend."""
BACKENDS = ("lambda", "lambda", "batch", "batch", *list(WORKERS)[2:])
HANDLERS = (
    *("lambdas.start_run", "lambdas.plan_scene", "lambdas.merge_detections"),
    *("lambdas.load_detections", "lambdas.publish_results"),
)
FUNCTIONS = ("StartRun", "PlanScene", "MergeDetections", "LoadDetections", "PublishResults")
ASKED: Mapping[str, tuple[str, ...]] = {
    "lambda": ("InferShard",),
    "batch": (),
    "sagemaker-realtime": ("InvokeEndpointRealtime",),
    "sagemaker-async": ("SubmitShard",),
    "sagemaker-serverless": ("InvokeEndpointServerless",),
}
"""The function that a backend's Map asks for a shard."""
ACTIONS = ("kill", "kill", "cut", "double", "replace", "delete", "damage", "lose")
"""Changes of the cloud besides the faults that it is asked for."""


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
    backend = rng.choice(BACKENDS)
    scenes = tuple(rng.sample(range(SCENES), rng.randint(1, 2)))
    faults = tuple(_fault(rng, backend) for _ in range(rng.choice([0, 1, 1, 2])))
    number = rng.choice([1, 1, 2]) if not faults else rng.choice([0, 1])
    actions = [(rng.choice(ACTIONS), rng.randrange(1000)) for _ in range(number)]
    if any(isinstance(fault, kinds.EventLate) for fault in faults) and rng.random() < 0.7:
        # Another event of the same object, for the late one to be overtaken by.
        actions.insert(0, ("replace", rng.randrange(1000)))
    return Scenario(seed, backend, scenes, faults, tuple(actions))


def _fault(rng: random.Random, backend: str) -> kinds.Fault:
    times = rng.randint(1, 3)
    functions = (*FUNCTIONS, *ASKED[backend])
    # A small file fits on some of the disks; the model's archive fits on the largest only.
    full = ("InferShardJob",) if backend == "batch" else ASKED[backend]
    choices: list[kinds.Fault] = [
        kinds.FunctionInactive(function=rng.choice(functions), times=times),
        kinds.SlowDown(key="/runs/", methods=(rng.choice(["GET", "PUT"]),), times=4 * times),
        kinds.ConnectionBroken(key=rng.choice(["/runs/", "/incoming/"]), times=times),
        kinds.DatabasePaused(seconds=2, refused=times),
        kinds.DatabaseRestarted(
            after=rng.choice([0, 0.05, 0.3]),
            downtime=rng.choice([0, 1, 3]),
            crashed=rng.random() < 0.5,
            times=1,
        ),
        kinds.SlotsTaken(slots=times),
        kinds.EventLate(seconds=rng.choice([1, 2, 4]), times=times),
        kinds.DiskFull(
            process=rng.choice([*FUNCTIONS[1:], *full, *full, *full]),
            kib=rng.choice([4, 32, 350]),
            times=times,
        ),
    ]
    if backend == "batch":
        choices += [
            kinds.SpotReclaimed(reported=rng.choice(["container", "host"]), times=1),
            kinds.ImageNotPulled(times=1),
            kinds.DockerTimeout(times=1),
            kinds.JobOutOfMemory(times=1),
        ]
    elif backend == "sagemaker-async":
        choices += [kinds.RequestExpired(notified=True, times=1)]
    return rng.choice(choices)
