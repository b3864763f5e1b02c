"""How long to wait before the same request is sent again, and when to give up."""

import email.utils
import threading
import time
from datetime import UTC, datetime
from http import HTTPStatus

from client.errors import ClientError

FIRST_WAIT_S = 0.25  # doubled each time, where the service does not say how long
LONGEST_WAIT_S = 5.0
TEMPORARY = frozenset(  # without Retry-After, too: so a gateway says that the service is away
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class TryAgainError(Exception):
    """The same request may be answered later.

    Attributes:
        error: what to raise if there is no time for another try.
        after_s: seconds to wait, if the service says so.
    """

    def __init__(self, error: ClientError, after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error, self.after_s = error, after_s


class Patience:
    """One request's tries: never earlier than the service says, for so many seconds in all, and none after the end."""

    def __init__(self, seconds: float, ended: threading.Event) -> None:
        self._until = time.monotonic() + seconds
        self._ended = ended
        self._wait_s = FIRST_WAIT_S

    def wait(self, told: TryAgainError) -> None:
        """Wait for the next try.

        Raises: the ClientError of `told`, at once, if that would take too long or nobody waits any more.
        """
        wait_s = told.after_s or self._wait_s  # a service that says 0 s does not say how long
        if time.monotonic() + wait_s > self._until:
            raise told.error
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        if self._ended.wait(wait_s):
            raise told.error


def read_retry_after(header: str | None) -> float | None:
    """Read `Retry-After`, seconds or a date (RFC 9110); None if it is neither."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        date = email.utils.parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
