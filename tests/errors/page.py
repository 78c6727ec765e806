"""Write the page docs/errors.md: a table of errors, their causes and messages."""

import itertools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.errors.fault import Fault
from tests.errors.provoke import Said

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
LONGEST_SECONDS = 5
"""Maximum CPU time in s of an error that needs no inference."""
_LONGEST = 120
# `error:` of the command, `ERROR` of a job's log, `NAME: error:` of argparse.
_ERROR = r"error: |ERROR |python -m [\w.]+: error: "
_HEAD = "| cause | command | exit code | message |"
_START = """# Errors

This page is for those who have an error message, and want to see what causes it.

An error that swath foresees is one line: the problem with its name and value, and the remedy.

- Exit code 2: an argument or a file cannot be used.
- Exit code 1: the work or a service failed.
- Exit code 70: swath did not foresee the error. `swath --debug` prints the traceback of any error.

The programs in the containers have exit codes of their own, which AWS Batch and SageMaker read.

`make errors` causes each error below in a process of its own, and writes this page. `make test`
causes some of them again, and compares the lines.

"""


def complaints(fault: Fault, said: Said) -> list[str]:
    """Return the differences between the response to a fault and a correct one."""
    found = []
    if said.code != fault.code:
        found.append(f"exit code {said.code} rather than {fault.code}")
    if any(line.startswith("Traceback") for line in said.lines):
        found.append("a traceback")
    if len(said.lines) != 1 or not re.match(_ERROR, said.lines[0]):
        found.append(f"{len(said.lines)} lines rather than one")
    return found


def is_slow(said: Said) -> bool:
    """Return whether an error took longer than `LONGEST_SECONDS`."""
    return said.seconds > LONGEST_SECONDS


def row_start(fault: Fault) -> str:
    """Return the first two cells of a row: the cause and the command."""
    command = " ".join(_shown(word) for word in fault.command)
    return "".join(f"| {_escaped(cell)} " for cell in (fault.wrong, f"`{command}`"))


def row(fault: Fault, said: Said) -> str:
    """Return the row of a fault."""
    text = _escaped(_cell(" ".join(said.lines)))
    return f"{row_start(fault)}| {said.code} | {text} |"


def rows(page: Path) -> list[str]:
    """Return the rows of a page, without the headers of its tables."""
    lines = page.read_text().splitlines()
    return [line for line in lines if line.startswith("| ") and line != _HEAD]


def write_page(page: Path, answers: Sequence[tuple[Fault, Said]]) -> None:
    """Write the page."""
    slowest = max(said.seconds for _, said in answers)
    counted = f"There are {len(answers)} errors. The slowest took {slowest:.1f} s of CPU time.\n"
    parts = [_START, counted]
    for group, pairs in itertools.groupby(answers, key=lambda pair: pair[0].group):
        parts.append(f"\n## {group}\n\n{_HEAD}\n|---|---|---|---|\n")
        parts.extend(row(fault, said) + "\n" for fault, said in pairs)
    page.write_text("".join(parts))


def _escaped(cell):
    return cell.replace("|", "\\|")


def _shown(word):
    if not word.isprintable():
        return "$" + repr(word.encode(errors="surrogateescape"))[1:]
    short = word if len(word) <= _LONGEST else f"{word[:20]}…{word[-8:]}"
    return short if "{" in short else shlex.quote(short).replace("`", "'")


def _cell(text):
    text = re.sub(_ERROR, "", text, count=1).replace("<", "&lt;")
    if len(text) <= 4 * _LONGEST:
        return text
    # The remedy stands at the end.
    return f"{text[: 3 * _LONGEST]} … {text[-_LONGEST:]}"
