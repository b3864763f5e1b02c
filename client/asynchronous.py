"""The client for programs with asyncio."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self

from client.analysis import Analysis
from client.request import URL
from client.service import TIMEOUT_S, WAIT_S, Client

AT_ONCE = 32  # images under way; more wait


class AsyncClient:
    """`Client` for a program that uses asyncio: its requests wait in threads, so that the program does not."""

    def __init__(
        self, url: str = URL, *, api_key: str | None = None, timeout_s: float = TIMEOUT_S, wait_s: float = WAIT_S
    ) -> None:
        self._client = Client(url, api_key=api_key, timeout_s=timeout_s, wait_s=wait_s)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="client")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; images that are under way get no answer."""
        self._client.close()
        self._threads.shutdown(cancel_futures=True)

    async def analyze(
        self,
        image: bytes,
        *,
        part: str | None = None,
        threshold: float | None = None,
        alarm_score: float | None = None,
    ) -> Analysis:
        """Return what the service finds on an image file. `Client.analyze` says more.

        Raises: InputError, RefusedError, ServiceAwayError, WrongAnswerError.
        """
        import asyncio  # noqa: PLC0415  the command, which needs none, would start later by 30 ms

        ask = partial(self._client.analyze, image, part=part, threshold=threshold, alarm_score=alarm_score)
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
