"""`python -m local_cloud`, or `swath local up`: keep a local cloud running until Ctrl-C."""

from __future__ import annotations

import typer
from rich.console import Console

from local_cloud.cloud import LocalCloud, closing_on_signals
from local_cloud.errors import LocalCloudError
from local_cloud.synthesis import synthesize
from swath.cli import local, options
from swath.cli.base import RootCommand, print_error

console = Console(highlight=False, soft_wrap=True)


def main(
    port: options.Port = 0,
    context: options.Context = None,
) -> None:
    """Deploy the stack on this machine and keep it running until Ctrl-C.

    The database is a PostGIS of its own, or a new one on the server of SWATH_DATABASE_URL.
    """
    try:
        with closing_on_signals():
            _run(port, dict(_setting(given) for given in context or []))
    except LocalCloudError as error:
        reason = " ".join(str(error).split())
        print_error(Console(stderr=True), f"the local cloud cannot run: {reason}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("\nThe local cloud is gone, with all that was in it.")


def _setting(given: str) -> tuple[str, str]:
    key, equals, value = given.partition("=")
    if not equals or not key.startswith("swath:"):
        raise LocalCloudError(f"{given!r} is no setting; write it as swath:KEY=VALUE")
    return key, value


def _run(port: int, context: dict[str, str]) -> None:
    console.print("• synthesizing the stack with the CDK")
    assembly = synthesize(context)
    console.print("• starting moto, PostgreSQL with PostGIS, and the functions' runtime")
    with LocalCloud(port=port) as cloud:
        console.print("• deploying the synthesized template")
        cloud.deploy(assembly)
        console.print(describe(cloud), markup=False)
        cloud.wait()


def describe(cloud: LocalCloud) -> str:
    """What one needs to know to use a deployed cloud, as shell commands where possible."""
    scenes = cloud.outputs["ScenesBucket"]
    query = "SELECT status, cause, detections, warnings FROM swath.runs"
    return f"""
The local cloud is up.

Endpoint  {cloud.endpoint}
Database  {cloud.dsn()}
Logs      {cloud.logs}

{_listed("Buckets", cloud, "Bucket", "s3://")}
{_listed("SageMaker endpoints", cloud, "Endpoint")}
The administrator's credentials; each function, job and endpoint has those of its own role:

  export {" ".join(f"{name}={value}" for name, value in cloud.administrator.items())}
  aws --endpoint-url {cloud.endpoint} s3 cp scene.tif s3://{scenes}/incoming/
  psql "{cloud.dsn()}" -c "{query}"

Ctrl-C ends it and deletes all that is in it."""


def _listed(title: str, cloud: LocalCloud, kind: str, prefix: str = "") -> str:
    """The outputs whose names end in `kind`, one a line."""
    found = sorted((name, value) for name, value in cloud.outputs.items() if name.endswith(kind))
    lines = (f"\n  {name.removesuffix(kind).lower():<10} {prefix}{value}" for name, value in found)
    return f"{title}{''.join(lines) or ' none'}\n"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command(cls=RootCommand, epilog=local.EXAMPLES)(main)

if __name__ == "__main__":
    app(prog_name="swath local up")
