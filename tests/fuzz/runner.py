"""Try changed inputs of every kind, and count what came of them.

Each input has a name, `target/seed/number`, and is the same whenever it is made. An input ends with
a result, or with one line that refuses it. All else fails: a signal, no end within 20 s, a
traceback, more than 1 GiB of memory beside what was there, or pixels that are not those that
rasterio reads.
"""

import collections
import contextlib
import json
import random
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import seeds
from tests.fuzz.mutators import Damage, damage_bytes, damage_json, damage_text, unchanged

ROOT = Path(__file__).resolve().parents[2]
SOUND = "sound"
"""The number of an input that is left as it is."""
MAX_SECONDS = 20.0
MAX_MEMORY = 1 << 30
WORKER = Path(__file__).with_name("worker.py")
CASES = Path(__file__).with_name("cases.txt")
"""Names of inputs that once failed; they are tried first."""


@dataclass
class Tally:
    """The results of the inputs of one target."""

    kinds: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest: tuple[float, str] = (0.0, "")
    """Seconds, and the input's name."""
    memory: tuple[int, str] = (0, "")
    """Bytes beside what was there, likewise."""


@dataclass
class Fuzz:
    """A folder of valid inputs, and the results of the inputs derived from them."""

    folder: Path
    keep: Path | None
    sound: dict[str, dict[str, Path]] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self) -> None:
        """Write the sound inputs."""
        for target in ("rasters", "images", "labels", "packages", "messages"):
            (self.folder / target).mkdir()
        rasters = seeds.write_rasters(self.folder / "rasters")
        self.sound = {
            "rasters": rasters,
            "images": seeds.write_pictures(self.folder / "images", rasters["tiles-deflate"]),
            "labels": seeds.write_labels(self.folder / "labels"),
            "packages": seeds.write_packages(
                self.folder / "packages", ROOT / "tests" / "small_models" / "ships"
            ),
            "messages": seeds.write_messages(
                self.folder / "messages", ROOT / "tests" / "unit" / "pipeline" / "plans"
            ),
        }
        self.tallies = {target: Tally() for target in self.sound}

    def make(self, name: str, work: Path) -> Path:
        """Make the input of that name in a folder; return its path."""
        target, seed, number = name.split("/")
        rng, source = random.Random(name), self.sound[target][seed]
        match target:
            case "packages":
                return seeds.copy_package(source, work, None if number == SOUND else rng)
            case "labels":
                seeds.copy_scene(self.sound["rasters"]["tiles"], work)
                path = work / source.name
            case _:
                path = work / f"{seed}-{source.suffix}"
        damage: Damage = damage_bytes
        if number == SOUND:
            damage = unchanged
        elif target == "messages" or path.suffix in {".json", ".geojson"}:
            damage = damage_json
        elif path.suffix == ".csv":
            damage = damage_text
        path.write_bytes(damage(source.read_bytes(), rng))
        return path

    def count(self, name: str, kind: str, text: str, *, seconds: float, memory: int) -> None:
        """Count an outcome; say so where it is a failure."""
        target = name.partition("/")[0]
        with self._lock:
            tally = self.tallies[target]
            if kind in {"result", "refused"} and memory > MAX_MEMORY:
                kind, text = "memory", f"{memory >> 20} MiB"
            if kind == "refused" and name.endswith(SOUND):
                kind = "refused, though sound"
            tally.kinds[kind] += 1
            tally.slowest = max(tally.slowest, (seconds, name))
            tally.memory = max(tally.memory, (memory, name))
            if kind not in {"result", "refused"}:
                self.failures.append(name)
                print(f"{kind}: {name}: {text}", flush=True)  # noqa: T201 (a long run)


class Worker:
    """A process that tries inputs, begun anew when one has ended it."""

    def __init__(self, fuzz: Fuzz) -> None:
        self.fuzz = fuzz
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, names: Iterator[str]) -> None:
        """Try inputs until there are none."""
        try:
            self._run(names)
        finally:
            self.stop()

    def _run(self, names: Iterator[str]) -> None:
        for name in names:
            with tempfile.TemporaryDirectory(dir=self.fuzz.folder) as work:
                path = self.fuzz.make(name, Path(work))
                failed = len(self.fuzz.failures)
                self._try(name, path)
                if self.fuzz.keep and len(self.fuzz.failures) > failed:
                    kept = self.fuzz.keep / name.replace("/", "_")
                    shutil.copytree(work, kept, dirs_exist_ok=True)

    def stop(self) -> int:
        """End the process, if there is one; return its exit code."""
        code = 0
        if self._process:
            self._process.kill()
            self._process.communicate()
            code = self._process.returncode
            self._process = None
        return code

    def _try(self, name: str, path: Path) -> None:
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([name.partition("/")[0], str(path)]).encode() + b"\n")
        self._process.stdin.flush()
        until, told = time.monotonic() + MAX_SECONDS, False
        for line in self._lines(until):
            answer = json.loads(line)
            if answer is None:
                return
            kind, text, seconds, memory = answer
            told = True
            self.fuzz.count(name, kind, text, seconds=seconds, memory=memory)
        late = time.monotonic() >= until
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(None if not late else 0)
        code = self.stop()
        if told:
            # Ours is done; rasterio, which is asked for its pixels afterwards, was the one to end.
            self.fuzz.tallies[name.partition("/")[0]].kinds["rasterio ended"] += 1
        elif late:
            self.fuzz.count(name, "hang", f"> {MAX_SECONDS} s", seconds=MAX_SECONDS, memory=0)
        else:
            self.fuzz.count(name, "signal", str(-code), seconds=0, memory=0)

    def _lines(self, until: float) -> Iterator[bytes]:
        """The lines that the process answers with, until it ends or is late."""
        assert self._process
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, until - time.monotonic())):
                if not (line := self._process.stdout.readline()):
                    return
                yield line

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            bufsize=0,
        )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The choice of the inputs to try."""

    seed: int = 1
    seconds: float = 600.0
    """Maximum duration in s."""
    inputs: int = 10**9
    """Maximum number of inputs in addition to the cases."""
    workers: int = 2
    """Number of inputs that are tried at the same time."""
    only: str | None = None
    """A target, or an input's name."""
    sound: bool = False
    """Whether the inputs are tried as they are, without a change."""
    keep: Path | None = None
    """A folder for the files of inputs that fail."""


def names_of(fuzz: Fuzz, chosen: Choice) -> Iterator[str]:
    """The names of the inputs to try: cases first, then drawn until there are enough."""
    if chosen.only and "/" in chosen.only:
        yield chosen.only
        return
    if chosen.sound:
        yield from (
            f"{target}/{seed}/{SOUND}" for target in fuzz.sound for seed in fuzz.sound[target]
        )
        return
    targets = [t for t in fuzz.sound if chosen.only in {None, t}]
    cases = CASES.read_text().split() if CASES.is_file() else []
    yield from (case for case in cases if case.partition("/")[0] in targets)
    rng, until = random.Random(chosen.seed), time.monotonic() + chosen.seconds
    for number in range(chosen.inputs):
        if time.monotonic() > until:
            return
        # Of ten inputs four are rasters.
        target = "rasters" if "rasters" in targets and number % 5 < 2 else rng.choice(targets)
        yield f"{target}/{rng.choice([*fuzz.sound[target]])}/{rng.randrange(10**9)}"


def fuzz_all(folder: Path, chosen: Choice) -> Fuzz:
    """Try inputs with some workers side by side."""
    fuzz = Fuzz(folder, chosen.keep)
    fuzz.prepare()
    names, lock = names_of(fuzz, chosen), threading.Lock()

    def shared() -> Iterator[str]:
        while True:
            with lock:
                name = next(names, None)
            if name is None:
                return
            yield name

    with ThreadPoolExecutor(chosen.workers) as pool:
        for done in [pool.submit(Worker(fuzz).run, shared()) for _ in range(chosen.workers)]:
            done.result()
    return fuzz


def report(fuzz: Fuzz) -> str:
    """Return a table of what came of each target's inputs."""
    lines = [
        f"{'':10}{'inputs':>8}{'results':>9}{'refused':>9}{'failed':>8}{'slowest':>10}{'memory':>10}"
    ]
    for target, tally in fuzz.tallies.items():
        kinds = tally.kinds
        ended = kinds.pop("rasterio ended", 0)
        wrong = sum(n for kind, n in kinds.items() if kind not in {"result", "refused"})
        lines.append(
            f"{target:10}{kinds.total():8}{kinds['result']:9}{kinds['refused']:9}{wrong:8}"
            f"{tally.slowest[0]:8.2f} s{tally.memory[0] >> 20:6} MiB"
            + (f"  rasterio's own reading ended {ended} processes" if ended else "")
        )
    slow, large = (
        max(getattr(tally, name) for tally in fuzz.tallies.values())
        for name in ("slowest", "memory")
    )
    return "\n".join([*lines, f"slowest: {slow[1]}; most memory: {large[1]}"])
