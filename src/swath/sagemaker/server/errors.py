"""Define the errors of requests that neither the image nor the model causes."""

from __future__ import annotations

from swath.errors import InputError, TransientError


class TooLargeError(InputError):
    """The request exceeds a size limit of this endpoint."""


class TooSlowError(InputError):
    """The request has not arrived within the endpoint's time limit."""


class UnknownTypeError(InputError):
    """The request has an unsupported media type."""


class NotAcceptableError(InputError):
    """The client accepts no media type that this endpoint can write."""


class DrainingError(TransientError):
    """The container is starting or stopping; another container can answer."""


class BusyError(TransientError):
    """Too many requests are queued to answer this one in time."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Expected time in s until the endpoint can accept the request."""
