"""Keep a local cloud running until Ctrl-C: `python -m local_cloud`, or `swath local up`."""

from __future__ import annotations

import contextlib
import os

import typer
from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.cloud import LocalCloud, check_port, exit_on_signals
from local_cloud.errors import LocalCloudError
from local_cloud.postgis.database import check_server
from local_cloud.synthesis import synthesize
from local_cloud.watch import INCOMING_PREFIX, Watcher
from swath.cli import local
from swath.cli.base import RootCommand
from swath.cli.console import print_error, print_line
from swath.cli.error_lines import printable
from swath.cli.options import local_cloud

_POLL_SECONDS = 0.5
_LISTED_SUFFIXES = ("Bucket", "Endpoint")


def main(
    port: local_cloud.Port = 0,
    context: local_cloud.Context = None,
) -> None:
    """Deploy the stack on this machine, and keep it running until Ctrl-C.

    The command starts a PostGIS server of its own. If SWATH_POSTGIS_SERVER names a server, it
    creates a new database there instead.
    """
    try:
        with exit_on_signals():
            _run(port, dict(_parse_setting(setting) for setting in context or []))
    except LocalCloudError as error:
        reason = " ".join(str(error).split())
        print_error(f"the local cloud cannot run: {reason}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print_line("\nThe local cloud and all its content are deleted.")


def _parse_setting(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals or not key.startswith("swath:"):
        raise LocalCloudError(f"{setting!r} is not a deploy setting; write it as swath:KEY=VALUE")
    return key, value


def _run(port: int, context: dict[str, str]) -> None:
    check_port(port)
    if url := os.environ.get("SWATH_POSTGIS_SERVER"):
        check_server(url)
    print_line("• synthesizing the stack with the CDK")
    assembly = synthesize(context)
    print_line("• starting moto, PostgreSQL with PostGIS, and the functions' runtime")
    with LocalCloud(port=port) as cloud:
        print_line("• deploying the synthesized template")
        cloud.deploy(assembly)
        print_line(describe_cloud(cloud))
        try:
            _print_events(cloud)
        except (KeyboardInterrupt, SystemExit):
            print_line("\nstopping: ending all runs, and deleting the content of the local cloud")
            raise


def _print_events(cloud: LocalCloud) -> None:
    """Print the events of a cloud as long as it runs.

    Raises:
        LocalCloudError: The cloud ended by itself.
    """
    watcher = Watcher(cloud)
    while True:
        # A service may fail here because the cloud is ending; `wait` reports that.
        with contextlib.suppress(BotoCoreError, ClientError):
            for line in watcher.report_events():
                print_line(f"• {printable(line)}")
        cloud.wait(_POLL_SECONDS)


def describe_cloud(cloud: LocalCloud) -> str:
    """Return the information that users of a deployed cloud need, as shell commands if possible."""
    scenes = cloud.outputs["ScenesBucket"]
    credentials = (f"{name}={value}" for name, value in cloud.administrator.items())
    query = "SELECT status, cause, detections, warnings FROM swath.runs"
    return f"""
The local cloud is running.

Endpoint  {cloud.endpoint}    (of S3 and all other services)
Console   {cloud.endpoint}/moto-api/
Database  {cloud.dsn()}
Logs      {cloud.logs}

{_format_outputs("Buckets", cloud, "Bucket", "s3://")}
{_format_outputs("SageMaker endpoints", cloud, "Endpoint")}
{_format_outputs("Other outputs of the stack", cloud)}
In another terminal, as the administrator (each function, job and endpoint has its own role):

  export AWS_ENDPOINT_URL={cloud.endpoint} {" ".join(credentials)}
  aws s3 cp scene.tif s3://{scenes}/{INCOMING_PREFIX}
  psql "{cloud.dsn()}" -c "{query}"

Ctrl-C stops the local cloud and deletes all its content. Events from now on:
"""


def _format_outputs(title: str, cloud: LocalCloud, suffix: str = "", prefix: str = "") -> str:
    """Return the outputs whose names end in `suffix`, one per line; without it, all others."""
    outputs = sorted(
        (name.removesuffix(suffix).lower(), value) if suffix else (name, value)
        for name, value in cloud.outputs.items()
        if (name.endswith(suffix) if suffix else not name.endswith(_LISTED_SUFFIXES))
    )
    width = max((len(name) for name, _ in outputs), default=0)
    lines = (f"\n  {name:<{width}} {prefix}{value}" for name, value in outputs)
    return f"{title}{''.join(lines) or ' none'}\n"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command(cls=RootCommand, epilog=local.EXAMPLES)(main)

if __name__ == "__main__":
    app(prog_name="swath local up")
