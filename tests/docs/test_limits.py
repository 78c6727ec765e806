"""Tests of docs/limits.md: each row names code and a test, and both exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["what", "limit", "held in", "message", "setting", "test"]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


TABLE = [
    cells(line)
    for line in (ROOT / "docs" / "limits.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith("|---")
]
ROWS = [row for row in TABLE if row != COLUMNS]


def names(path):
    """Names of what a file defines, at any depth: functions, classes, variables, fields."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_the_tables_are_read():
    assert len(ROWS) >= 15
    assert len({row[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].replace(" ", "-"))
def test_a_row_names_code_and_a_test_that_exist(row):
    assert len(row) == len(COLUMNS)
    assert all(row)
    _, _, held, _, _, test = row
    file, constant = re.fullmatch(r"`([\w/.]+)` `(\w+)`", held).groups()
    places = [ROOT / "src" / "swath" / file, ROOT / file]
    assert constant in names(next(place for place in places if place.is_file()))
    path, name = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", test).groups()
    assert name in names(ROOT / path)
