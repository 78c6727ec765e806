"""Runs swath's commands in forks of a process that has imported what they need.

Read one JSON object a line: program, words, folder, environment and the largest file. Write one a
line.
Run as a program, so that nothing but what is imported here is there when it forks.
"""

import gc
import json
import os
import resource
import runpy
import signal
import sys
import tempfile
from contextlib import redirect_stderr, suppress
from importlib import import_module
from io import StringIO
from pathlib import Path

MODULES = (
    "swath.cli.commands",
    "swath.pipeline.local",
    "swath.evaluation.assess",
    "swath.labels.read",
    "swath.packaging.check",
    "swath.packaging.init_package",
    "swath.packaging.publish",
    "swath.sagemaker.jobs.train",
    "swath.database.load",
    "onnxruntime",
    "psycopg",
)
SECONDS = 120
"""After which a command is ended by SIGALRM."""


def main() -> None:
    for module in MODULES:
        import_module(module)
    # What the first command of a process imports, no fork need import again.
    for words in (["run", "absent", "--model", "m", "--out", "o"], ["model", "show", "absent"]):
        with redirect_stderr(StringIO()), suppress(SystemExit):
            import_module("swath.cli.commands").app(words, prog_name="swath")
    gc.freeze()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


def run(asked: dict) -> dict:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            become(asked, out.fileno(), err.fileno())
        _, status, used = os.wait4(child, 0)
        return {
            "code": os.waitstatus_to_exitcode(status),
            "seconds": used.ru_utime + used.ru_stime,
            "out": read(out),
            "err": read(err),
        }


def become(asked: dict, out: int, err: int) -> None:
    """Run the command, and end as its process would."""
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), out, err)):
        os.dup2(file, number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (what standard input is now)
    signal.alarm(SECONDS)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    if asked["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["largest_file"],) * 2)
    sys.argv = ["swath", *asked["words"]]
    code = 1
    try:
        start(asked["program"])
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:  # noqa: BLE001 (as the interpreter does)
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def start(program: str) -> None:
    if program == "swath":
        import_module("swath.__main__").main()
    elif program == "function":
        runpy.run_path(str(Path(__file__).with_name("functions.py")), run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def read(file) -> str:
    file.seek(0)
    return file.read().decode(errors="surrogateescape")


if __name__ == "__main__":
    main()
