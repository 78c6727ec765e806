"""Define options of the local cloud."""

from __future__ import annotations

from typing import Annotated

import typer

Port = Annotated[
    int,
    typer.Option(
        metavar="PORT", help="Port of the endpoint; 0 for any free port.", min=0, max=65535
    ),
]
Context = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        "-c",
        metavar="KEY=VALUE",
        help="Deploy setting, such as swath:backend=batch. Repeatable.",
    ),
]
