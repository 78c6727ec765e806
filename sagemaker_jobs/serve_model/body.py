"""Bodies of requests, put on the disk as they arrive: a large one is never in memory."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from swath.serving.admission import Budget
from swath.serving.errors import BusyError, TooLargeError, TooSlowError

if TYPE_CHECKING:
    from fastapi import Request

_MOST_DISCARDED = 32 << 20
_DISCARDING_SECONDS = 5
_RETRY_AFTER = 5
"""s"""


@asynccontextmanager
async def spooled(
    request: Request, disk: Budget, *, limit: int, seconds: float
) -> AsyncIterator[Path]:
    """The body as a file, until the block ends.

    Args:
        request: whose body it is.
        disk: what bodies may fill together.
        limit: what this one may fill, in bytes.
        seconds: how long it may take to arrive.

    Raises:
        TooSlowError: the body has not arrived in time.
        TooLargeError: the body is larger.
        BusyError: the disk holds as much as it may.
    """
    claimed = 0

    def claim(size: int) -> None:
        nonlocal claimed
        if size > limit:
            raise TooLargeError(
                f"the request has more than {limit} bytes, which is all that is taken at once: "
                "drop large scenes into the stack's bucket"
            )
        if not disk.claim(size - claimed):
            raise BusyError(
                "the requests that are here already fill the disk; send this one again later",
                retry_after=_RETRY_AFTER,
            )
        claimed = size

    try:
        claim(content_length(request))
        with tempfile.TemporaryDirectory(prefix="swath-request-") as folder:
            path = Path(folder, "body")
            received = 0
            # It goes to the page cache: a thread for it would take longer than the writing.
            try:
                with path.open("wb") as file:  # noqa: ASYNC230
                    async with asyncio.timeout(seconds):
                        async for chunk in request.stream():
                            received += len(chunk)
                            if received > claimed:
                                claim(received)
                            file.write(chunk)
            except TimeoutError:
                raise TooSlowError(
                    f"{received} bytes of the request have arrived in {seconds:g} s, and not all; "
                    "send it faster"
                ) from None
            yield path
    finally:
        disk.release(claimed)


async def discarded(request: Request) -> None:
    """Take the rest of a body that nobody reads, up to some size.

    A client that is answered before it has sent everything may see a broken connection instead of
    the answer.
    """
    left = _MOST_DISCARDED
    # It is gone, or too slow, or all was read.
    with suppress(ClientDisconnect, TimeoutError, RuntimeError):
        async with asyncio.timeout(_DISCARDING_SECONDS):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return


def content_length(request: Request) -> int:
    """How many bytes the body will have; 0 where the request does not say."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() else 0
