"""Why a request is not answered, where the reason is not the image's or the model's."""

from __future__ import annotations

from swath.errors import InputError, TransientError


class TooLargeError(InputError):
    """The request holds more than this endpoint takes at once."""


class TooSlowError(InputError):
    """The request has not arrived in the time that this endpoint waits for one."""


class UnknownTypeError(InputError):
    """The request is of a media type that cannot be read."""


class NotAcceptableError(InputError):
    """The answer is wanted in a media type that cannot be written."""


class DrainingError(TransientError):
    """The container is about to stop, or has not yet started; another one can answer."""


class BusyError(TransientError):
    """There is more waiting than will be answered in time."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """s until there is likely to be room."""
