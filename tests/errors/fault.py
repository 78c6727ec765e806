"""Define a fault: an invalid input or state, and the command that meets it."""

from dataclasses import dataclass, field

from swath.cli import EXIT_INPUT


@dataclass(frozen=True)
class Fault:
    """Something wrong, in the words of one command.

    Attributes:
        group: the heading that it stands below.
        wrong: what is wrong, for the table.
        words: the command without `swath`, or the arguments of `program`.
        code: the exit code that it must have.
        env: environment variables; None takes one away. `{aws}` is the URL of a service that
            answers each request with the error code that follows it, `{closed}` a port that
            nothing listens on, `{database}` a PostGIS.
        missing: a module that is not installed, or several with commas.
        as_nobody: run without root's powers.
        largest_file: bytes that the process may write to one file.
        full_disk: the folder `full` is a disk of 4 KiB; of a machine that allows to mount one.
        program: a module to run in place of `swath`; `function` is a function of Lambda.
    """

    group: str
    wrong: str
    words: tuple[str, ...]
    code: int = EXIT_INPUT
    env: dict[str, str | None] = field(default_factory=dict)
    missing: str = ""
    as_nobody: bool = False
    largest_file: int = 0
    full_disk: bool = False
    program: str = "swath"

    @property
    def command(self) -> tuple[str, ...]:
        """The command line as a person types it."""
        if self.program == "swath":
            return ("swath", *self.words)
        if self.program == "function":
            return self.words
        return ("python", "-m", self.program, *self.words)


def run(scene="scene.tif", model="packages/good", *more, out="out"):
    """The words of `swath run`."""
    return ("run", scene, "--model", model, "--out", out, *more)
