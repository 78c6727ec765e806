"""`python -m mutation [NAME …] --seed SEED`: mutate the critical modules, or those named.

Each mutant is one small change. A mutant that no test notices is a hole in the tests, or it is
equivalent to the original and `equivalent.toml` says why. Results are kept in `build/mutation`, and
a run that was interrupted goes on where it ended.
"""

from __future__ import annotations

import argparse
import fcntl
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from mutation.coverage_map import CoverageMap
from mutation.mutants import Mutant
from mutation.postgis import postgis
from mutation.results import Result, Results, read_equivalents, report
from mutation.targets import draw, find_targets, is_named
from mutation.trial import Outcome, Tree

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "mutation"
_QUICK_S = 0.5
_tree: Tree
_sound: dict[str, bool] = {}
"""Results of each test without a mutant, as this worker has run them."""


def main(arguments: Sequence[str]) -> int:
    """Draw mutants, try those without a result, and print what came out."""
    options = _parse(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        # Two runs would change each other's copies.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    trees = [Tree(ROOT, FOLDER / f"tree-{number}") for number in range(options.jobs)]
    for tree in trees:
        tree.refresh()
    # Tests look for it beside the repository, and so beside its copies.
    os.environ.setdefault("SWATH_TEST_DATA", str((ROOT.parent / "shared" / "data").resolve()))
    # What is edited while this runs counts next time.
    root = trees[0].folder
    coverage_map = CoverageMap(root, FOLDER / "recordings")
    coverage_map.update(again=options.record)
    results = Results(FOLDER / "results.jsonl")
    targets = find_targets(root)
    # The whole draw, so that some of the modules have the same mutants as in a run of all.
    whole = draw(root, targets, seed=options.seed, count=options.count)
    drawn = [mutant for mutant in whole if is_named(mutant.module, options.names)]
    by_module = {target.module: target for target in targets}
    print(f"{len(drawn)} of {len(whole)} mutants, seed {options.seed}")
    done: list[Result] = []
    trials: list[tuple[Mutant, dict[str, float], int]] = []
    equivalents = read_equivalents()
    for mutant in drawn:
        covering = coverage_map.covering(mutant, by_module[mutant.module])
        why = equivalents.get((mutant.module, mutant.before, mutant.after))
        if why is not None:
            done.append(Result.of(root, mutant, Outcome("equivalent"), covering, why=why))
        elif (known := results.find(root, mutant, covering)) and _is_final(
            known, _within(covering, options.budget)
        ):
            done.append(known)
        elif not covering:
            done.append(Result.of(root, mutant, Outcome("uncovered"), covering))
        else:
            trials.append((mutant, covering, options.budget))
    if trials:
        with _workers(trees) as pool:
            for trial in as_completed([pool.submit(_try, trial) for trial in trials]):
                result = trial.result()
                results.add(result)
                done.append(result)
                print(f"{result.outcome.status:9} {result.title} {result.outcome.by}", flush=True)
    text = report(done)
    (FOLDER / "report.md").write_text(text + "\n")
    print(text)
    return 0


@contextmanager
def _workers(trees: list[Tree]) -> Iterator[ProcessPoolExecutor]:
    """Run a process for each tree, and one PostGIS for all of them."""
    context = multiprocessing.get_context("fork")
    free: SimpleQueue[Tree] = context.SimpleQueue()
    for tree in trees:
        free.put(tree)
    with postgis() as dsn:
        os.environ["SWATH_POSTGIS_SERVER"] = dsn
        with ProcessPoolExecutor(len(trees), context, initializer=_start, initargs=(free,)) as pool:
            yield pool


def _start(free: SimpleQueue[Tree]) -> None:
    global _tree  # noqa: PLW0603 - one worker, one tree
    _tree = free.get()
    _tree.enter()


def _try(trial: tuple[Mutant, dict[str, float], int]) -> Result:
    """Try a mutant; a test that fails without it as well has killed nothing.

    Raises:
        RuntimeError: no test passes, with or without a mutant.
    """
    mutant, covering, budget = trial
    while chosen := _within(covering, budget):
        with _tree.mutated(mutant):
            outcome = _tree.test(chosen)
        # Where no test is named, no file could be imported, or the process died.
        suspect = outcome.by if outcome.by in covering else next(iter(chosen))
        if outcome.status == "survived" or _is_sound(suspect, covering):
            return Result.of(_tree.folder, mutant, outcome, covering)
        del covering[suspect]
    raise RuntimeError(f"no test passes as the code is: {outcome.message}")


def _is_sound(name: str, durations: dict[str, float]) -> bool:
    """Tell whether a test passes without a mutant, with the rest of its file or alone."""
    if name not in _sound:
        file = name.partition("::")[0] + "::"
        others = {
            other: seconds
            for other, seconds in durations.items()
            if other == name or (other.startswith(file) and seconds < _QUICK_S)
        }
        if _tree.test(others).status == "survived":
            _sound.update(dict.fromkeys(others, True))
        else:
            _sound[name] = _tree.test({name: durations[name]}).status == "survived"
    return _sound[name]


def _is_final(known: Result, chosen: dict[str, float]) -> bool:
    """Tell whether a survivor has run against as many tests as it would now."""
    return known.outcome.status != "survived" or known.outcome.passed >= len(chosen)


def _within(durations: dict[str, float], budget: float) -> dict[str, float]:
    """Return as many of the tests as take no more than so many seconds, but at least one."""
    chosen: dict[str, float] = {}
    for name, seconds in durations.items():
        if chosen and sum(chosen.values()) + seconds > budget:
            break
        chosen[name] = seconds
    return chosen


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of paths of modules; default: all of them")
    parser.add_argument("--seed", required=True, help="any text; another one draws other mutants")
    parser.add_argument("--count", type=int, default=320, help="mutants of all modules, about")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--budget", type=int, default=90, help="seconds of tests for a mutant")
    parser.add_argument("--record", action="store_true", help="record coverage again")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
