"""Mutants of a small module: which there are, how they are named, what they make of it."""

import ast

import pytest

from mutation.mutants import list_mutants, mutate
from mutation.results import Result, Results, digest_source, format_report, read_equivalents
from mutation.targets import Target, draw_mutants, list_targets, matches_names
from mutation.trial import Outcome
from tests.test_makefile import ROOT

MODULE = "small.py"
SOURCE = '''
"""A module."""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from a import b

Numbers = list[int]


def least(numbers: Numbers | None, most: int = 9) -> int:
    """The least number, but 9 at most."""
    if not numbers:
        raise ValueError("no" + " number", 3)
    return min(*numbers, most)
'''


@pytest.fixture
def root(tmp_path):
    (tmp_path / MODULE).write_text(SOURCE)
    return tmp_path


def test_what_is_for_people_and_types_is_left_alone(root):
    changes = {(mutant.operator, mutant.after) for mutant in list_mutants(root, MODULE)}

    assert changes == {
        ("constant", "def least(numbers: Numbers | None, most: int=10) -> int:"),
        ("branch", "if True:"),
        ("branch", "if False:"),
        ("boolean", "if numbers:"),
        ("raising", "pass"),
        ("arguments", "raise ValueError(3, 'no' + ' number')"),
        ("returning", "return None"),
        ("opposite", "return max(*numbers, most)"),
    }


def test_a_mutant_is_its_module_with_one_change(root):
    mutants = {mutant.after: mutant for mutant in list_mutants(root, MODULE)}
    chosen = mutants["return max(*numbers, most)"]

    lines = mutate(root, chosen).splitlines()

    original = ast.unparse(ast.parse(SOURCE)).splitlines()
    assert [(a, b) for a, b in zip(original, lines, strict=True) if a != b] == [
        ("    return min(*numbers, most)", "    return max(*numbers, most)")
    ]
    assert (chosen.scope, chosen.lines, chosen.at_import) == ("least", (15, 15), False)
    assert mutants["def least(numbers: Numbers | None, most: int=10) -> int:"].at_import


def test_a_mutant_has_its_name_wherever_the_code_stands(root):
    before = [mutant.id for mutant in list_mutants(root, MODULE)]
    (root / MODULE).write_text(SOURCE.replace("\n\n\n", "\n\n\n# A remark.\n\n\n"))

    assert [mutant.id for mutant in list_mutants(root, MODULE)] == before
    assert len(set(before)) == len(before)


def test_a_mutant_that_is_gone_is_said_to_be(root):
    chosen = list_mutants(root, MODULE)[-1]
    (root / MODULE).write_text("a = 1\n")

    with pytest.raises(LookupError, match=chosen.id):
        mutate(root, chosen)


def test_a_seed_draws_the_same_and_another_one_others():
    targets = [
        target for target in list_targets(ROOT) if matches_names(target.module, ["stitching/"])
    ]
    one, again, other = (draw_mutants(ROOT, targets, seed=seed, count=40) for seed in "112")

    assert one == again
    assert {m.id for m in one} != {m.id for m in other}
    assert {m.module for m in one} == {target.module for target in targets}
    assert 40 <= len(one) <= 40 + len(targets)
    assert len({m.operator for m in one}) >= 10


def test_all_that_a_module_has_may_be_drawn(root):
    drawn = draw_mutants(root, [Target(MODULE)], seed="1", count=1000)

    assert sorted(m.id for m in drawn) == sorted(m.id for m in list_mutants(root, MODULE))


def result_of(mutant, root, status, **fields):
    return Result(
        id=mutant.id,
        module=mutant.module,
        title=mutant.title,
        before=mutant.before,
        after=mutant.after,
        outcome=Outcome(status),
        source=digest_source(root / mutant.module),
        **fields,
    )


def test_a_result_holds_until_code_or_tests_change(root):
    mutant, *_ = list_mutants(root, MODULE)
    test = "test_small.py::test_one"
    (root / "test_small.py").write_text("1")
    Results(root / "results.jsonl").add(
        Result.from_outcome(
            root, mutant, Outcome("killed", by=test), {test: 1.0, "test_other.py::a": 1.0}
        )
    )

    def found():
        return Results(root / "results.jsonl").find_valid(root, mutant, {test: 1.0})

    assert found().outcome.by == test
    (root / MODULE).write_text(SOURCE.replace('"""A module."""', '"""A module."""  # Said.'))
    assert found()
    (root / "test_small.py").write_text("2")
    assert not found()
    (root / "test_small.py").write_text("1")
    (root / MODULE).write_text(SOURCE.replace("not numbers", "numbers is None"))
    assert not found()


def test_the_report_counts_and_names_the_survivors(root):
    mutants = list_mutants(root, MODULE)
    kinds = ["survived", "killed", "timeout", "equivalent"]
    results = [result_of(m, root, kind) for m, kind in zip(mutants, kinds, strict=False)]

    text = format_report(results)

    assert "| small.py | 4 | 1 | 1 | 1 | 1 | 0 |" in text
    assert f"survived: 1\n{mutants[0].title}" in text
    assert text.endswith("killed or equivalent: 3 of 4, 75.0%")


def test_every_equivalent_mutant_is_one_of_its_module_and_has_a_reason():
    known = {}
    for (module, before, after), why in read_equivalents().items():
        if module not in known:
            known[module] = {(m.before, m.after) for m in list_mutants(ROOT, module)}
        assert (before, after) in known[module], f"{module} has no such mutant any more: {after}"
        assert len(why) > 20
