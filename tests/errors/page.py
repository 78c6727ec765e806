"""The page docs/errors.md: a table of faults and of what swath says of each."""

import itertools
import shlex
from collections.abc import Iterable
from pathlib import Path

from tests.errors.faults import Fault
from tests.errors.provoke import Said

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
LONGEST_SECONDS = 5
"""How long an error may take that needs no inference."""
_LONGEST = 120
_START = """# What can go wrong

Each error that swath foresees is one line: what is wrong, with its name and value, and what to
do. The exit code is 2 where something that was given cannot be used, 1 where the work or a
service failed, and 70 for an error that swath did not foresee; `swath --debug` prints the
traceback of any.

`make errors` provokes each of the errors below in a process of its own and writes this page.
`make test` provokes some of them again, and compares.
"""


def complaints(fault: Fault, said: Said) -> list[str]:
    """What is not as it should be, in an answer to a fault."""
    found = []
    if said.code != fault.code:
        found.append(f"exit code {said.code} rather than {fault.code}")
    if any(line.startswith("Traceback") for line in said.lines):
        found.append("a traceback")
    if len(said.lines) != 1 or not said.lines[0].startswith("error: "):
        found.append(f"{len(said.lines)} lines rather than one")
    if said.seconds > LONGEST_SECONDS:
        found.append(f"{said.seconds:.1f} s rather than {LONGEST_SECONDS}")
    return found


def row(fault: Fault, said: Said) -> str:
    """The row of a fault."""
    command = " ".join(["swath", *(_shown(word) for word in fault.words)])
    cells = (fault.wrong, f"`{command}`", str(said.code), _cell(" ".join(said.lines)))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def write_page(page: Path, rows: Iterable[tuple[Fault, Said]]) -> None:
    """Write the page."""
    parts = [_START]
    for group, pairs in itertools.groupby(rows, key=lambda pair: pair[0].group):
        parts.append(f"\n## {group}\n\n| wrong | command | exit | it says |\n|---|---|---|---|\n")
        parts.extend(row(fault, said) + "\n" for fault, said in pairs)
    page.write_text("".join(parts))


def _shown(word):
    if not word.isprintable():
        return "$" + repr(word.encode(errors="surrogateescape"))[1:]
    short = word if len(word) <= _LONGEST else f"{word[:20]}…{word[-8:]}"
    return short if "{" in short else shlex.quote(short).replace("`", "'")


def _cell(text):
    text = text.removeprefix("error: ").replace("<", "&lt;")
    return text if len(text) <= 4 * _LONGEST else f"{text[: 4 * _LONGEST]}…"
