"""The client for programs without asyncio, in a script, a notebook or several threads."""

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from client.analysis import Analysis
from client.errors import ClientError
from client.request import URL
from client.service import TIMEOUT_S, WAIT_S, AsyncClient

T = TypeVar("T")


class Client:
    """Asks the service, and waits for its answer.

    Threads may share one client; it keeps its connections open. Its event loop runs in a thread of its own, so that it
    works in a notebook, too.
    """

    def __init__(
        self, url: str = URL, *, api_key: str | None = None, timeout_s: float = TIMEOUT_S, wait_s: float = WAIT_S
    ) -> None:
        """Make a client; it connects at the first request.

        url: of the service, with the path prefix if there is one. api_key: if the service asks for one. timeout_s: of
        one try. wait_s: how long an image is sent again while the service is away or busy.
        Raises: InputError.
        """
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="client", daemon=True)
        thread.start()
        self._loop = loop
        made: list[AsyncClient] = []
        self._end = weakref.finalize(self, _end, loop, thread, made)
        self._client = self._wait(_make(url, api_key, timeout_s, wait_s))
        made.append(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; otherwise that happens when nobody holds the client any more."""
        self._end()

    def analyze(
        self,
        image: bytes,
        *,
        part: str | None = None,
        threshold: float | None = None,
        alarm_score: float | None = None,
    ) -> Analysis:
        """Return what the service finds on an image.

        image: the content of a JPEG or PNG file, or of another format that the service reads. part: a name for the
        photographed part, 1 to 128 printable characters, that the answer and the service's log repeat. threshold,
        alarm_score: take the place of the model's own, 0–1.

        While the service is away or busy, it waits as long as the service says and sends the image again.

        Raises: RefusedError, if the service refuses the image or the caller; ServiceAwayError, if waiting was in vain;
        WrongAnswerError; InputError.
        """
        return self._wait(self._client.analyze(image, part=part, threshold=threshold, alarm_score=alarm_score))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise ClientError("this client was closed: make another one")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C, too: the request ends with its caller
            future.cancel()
            raise


async def _make(url: str, api_key: str | None, timeout_s: float, wait_s: float) -> AsyncClient:
    return AsyncClient(url, api_key=api_key, timeout_s=timeout_s, wait_s=wait_s)


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, made: list[AsyncClient]) -> None:
    if threading.current_thread() is thread:  # the garbage collector may run anywhere; nobody can wait for himself
        loop.stop()
        return
    for client in made:
        asyncio.run_coroutine_threadsafe(client.close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
