"""Mutate the critical modules, or those named: `python -m mutation [NAME …] --seed SEED`.

Each mutant is one small change. If no test fails for a mutant, a test is missing, or the mutant is
equivalent to the original and `equivalent.toml` has the reason. Results are stored in
`build/mutation`, so that an interrupted run resumes.
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
from mutation.results import Result, Results, format_report, read_equivalents
from mutation.targets import draw_mutants, list_targets, matches_names
from mutation.trial import Outcome, RepositoryCopy

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "mutation"
_MAX_QUICK_SECONDS = 0.5
_copy: RepositoryCopy
_passes_unmutated: dict[str, bool] = {}
"""Whether each test passes without a mutant, as far as this worker has run it."""


def main(arguments: Sequence[str]) -> int:
    """Draw mutants, try those without a result, and print the report."""
    options = _parse_arguments(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        # Two runs would change each other's copies.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    copies = [RepositoryCopy(ROOT, FOLDER / f"tree-{number}") for number in range(options.jobs)]
    for copy in copies:
        copy.refresh()
    # The default is a folder beside the repository, which the copies do not have.
    os.environ.setdefault("SWATH_TEST_DATA", str((ROOT.parent / "shared" / "data").resolve()))
    # The copies are used from here on, so that edits during the run have no effect.
    root = copies[0].folder
    coverage_map = CoverageMap(root, FOLDER / "recordings")
    coverage_map.update(record_again=options.record)
    results = Results(FOLDER / "results.jsonl")
    targets = list_targets(root)
    # All modules are drawn, so that a run of some modules has the same mutants as a run of all.
    all_mutants = draw_mutants(root, targets, seed=options.seed, count=options.count)
    selected = [mutant for mutant in all_mutants if matches_names(mutant.module, options.names)]
    by_module = {target.module: target for target in targets}
    print(f"{len(selected)} of {len(all_mutants)} mutants, seed {options.seed}")
    completed: list[Result] = []
    trials: list[tuple[Mutant, dict[str, float], int]] = []
    equivalents = read_equivalents()
    for mutant in selected:
        covering_tests = coverage_map.covering_tests(mutant, by_module[mutant.module])
        reason = equivalents.get((mutant.module, mutant.before, mutant.after))
        if reason is not None:
            completed.append(
                Result.from_outcome(root, mutant, Outcome("equivalent"), covering_tests, why=reason)
            )
        elif (known_result := results.find_valid(root, mutant, covering_tests)) and _is_final(
            known_result, _limit_tests(covering_tests, options.budget)
        ):
            completed.append(known_result)
        elif not covering_tests:
            completed.append(
                Result.from_outcome(root, mutant, Outcome("uncovered"), covering_tests)
            )
        else:
            trials.append((mutant, covering_tests, options.budget))
    if trials:
        with _workers(copies) as pool:
            for trial in as_completed([pool.submit(_try_mutant, trial) for trial in trials]):
                result = trial.result()
                results.add(result)
                completed.append(result)
                print(f"{result.outcome.status:9} {result.title} {result.outcome.by}", flush=True)
    text = format_report(completed)
    (FOLDER / "report.md").write_text(text + "\n")
    print(text)
    return 0


@contextmanager
def _workers(copies: list[RepositoryCopy]) -> Iterator[ProcessPoolExecutor]:
    """Run a process for each tree, and one PostGIS for all of them."""
    context = multiprocessing.get_context("fork")
    free_copies: SimpleQueue[RepositoryCopy] = context.SimpleQueue()
    for copy in copies:
        free_copies.put(copy)
    with postgis() as dsn:
        os.environ["SWATH_POSTGIS_SERVER"] = dsn
        with ProcessPoolExecutor(
            len(copies), context, initializer=_start, initargs=(free_copies,)
        ) as pool:
            yield pool


def _start(free_copies: SimpleQueue[RepositoryCopy]) -> None:
    global _copy  # noqa: PLW0603 - one copy for each worker
    _copy = free_copies.get()
    _copy.enter()


def _try_mutant(trial: tuple[Mutant, dict[str, float], int]) -> Result:
    """Try a mutant; a failure does not count if the test also fails without the mutant.

    Raises:
        RuntimeError: No test passes, with or without a mutant.
    """
    mutant, covering_tests, budget = trial
    while chosen := _limit_tests(covering_tests, budget):
        with _copy.mutated(mutant):
            outcome = _copy.test(chosen)
        # Without a named test, a file could not be imported, or the process died.
        failed_test = outcome.by if outcome.by in covering_tests else next(iter(chosen))
        if outcome.status == "survived" or _passes_without_mutant(failed_test, covering_tests):
            return Result.from_outcome(_copy.folder, mutant, outcome, covering_tests)
        del covering_tests[failed_test]
    raise RuntimeError(f"no test passes without a mutant: {outcome.message}")


def _passes_without_mutant(name: str, durations: dict[str, float]) -> bool:
    """Return whether a test passes without a mutant, with the rest of its file or alone."""
    if name not in _passes_unmutated:
        file = name.partition("::")[0] + "::"
        others = {
            other: seconds
            for other, seconds in durations.items()
            if other == name or (other.startswith(file) and seconds < _MAX_QUICK_SECONDS)
        }
        if _copy.test(others).status == "survived":
            _passes_unmutated.update(dict.fromkeys(others, True))
        else:
            _passes_unmutated[name] = _copy.test({name: durations[name]}).status == "survived"
    return _passes_unmutated[name]


def _is_final(known_result: Result, chosen: dict[str, float]) -> bool:
    """Return whether a survivor has run against as many tests as it would now."""
    return known_result.outcome.status != "survived" or known_result.outcome.passed >= len(chosen)


def _limit_tests(durations: dict[str, float], budget: float) -> dict[str, float]:
    """Return the first tests whose durations fit into the budget in s, but at least one test."""
    chosen: dict[str, float] = {}
    for name, seconds in durations.items():
        if chosen and sum(chosen.values()) + seconds > budget:
            break
        chosen[name] = seconds
    return chosen


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
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
