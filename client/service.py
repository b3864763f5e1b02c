"""The service over HTTP: one request for one image, sent again while the service is away or busy.

An analysis changes nothing at the service, so sending an image twice does no harm.
"""

import io
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from client.analysis import Analysis, read_analysis
from client.errors import InputError, RefusedError, ServiceAwayError, WrongAnswerError
from client.patience import Patience, TryAgainError, read_retry_after
from client.request import URL, check_part, check_share, is_loopback, media_type, service_url

TIMEOUT_S = 60.0  # of one request; the service answers within 30 s unless DEADLINE_S says otherwise
WAIT_S = 120.0
CONNECT_S = 10.0
AT_ONCE_BYTES = 2**20  # of one write; aiohttp warns of longer ones


class AsyncClient:
    """Asks the service from a program that uses asyncio; otherwise `Client` is what you want.

    Make and use it within one event loop. The arguments are those of `Client`.
    """

    def __init__(
        self, url: str = URL, *, api_key: str | None = None, timeout_s: float = TIMEOUT_S, wait_s: float = WAIT_S
    ) -> None:
        self._url = service_url(url)
        self._wait_s = wait_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
            headers={"Accept": "application/json", **({"Authorization": f"Bearer {api_key}"} if api_key else {})},
            trust_env=not is_loopback(url),  # HTTP_PROXY is for other machines
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

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
        return read_analysis(await self.ask(image, part=part, threshold=threshold, alarm_score=alarm_score))

    async def ask(
        self,
        image: bytes,
        *,
        part: str | None = None,
        threshold: float | None = None,
        alarm_score: float | None = None,
    ) -> dict[str, Any]:
        """Do what `analyze` does, and return the answer as it came."""
        query = {"mask": "rle"}
        if part is not None:
            query["part"] = check_part(part)
        for name, share in (("threshold", threshold), ("alarm_score", alarm_score)):
            if share is not None:
                query[name] = str(check_share(name, share))
        patience = Patience(self._wait_s)
        while True:
            try:
                answer = await self._send("POST", "/v1/analyze", query, image)
            except TryAgainError as told:
                await patience.wait(told)
            else:
                return answer

    async def served_model(self) -> dict[str, Any]:
        """Return how the service describes the model that it serves now.

        Raises: RefusedError, ServiceAwayError, WrongAnswerError.
        """
        try:
            ready = await self._send("GET", "/v1/health/ready", {}, None)
        except TryAgainError as told:
            raise told.error from None
        if not isinstance(model := ready.get("model"), dict):
            raise WrongAnswerError(f"{self._url}/v1/health/ready names no model: check the URL")
        return model

    async def _send(self, method: str, path: str, query: Mapping[str, str], image: bytes | None) -> dict[str, Any]:
        """Send once.

        Raises: TryAgainError, if another try may succeed; RefusedError, InputError, WrongAnswerError.
        """
        headers = {"Content-Type": media_type(image)} if image is not None else None
        body = io.BytesIO(image) if image is not None and len(image) > AT_ONCE_BYTES else image
        try:
            async with self._session.request(
                method, self._url + path, params=query, data=body, headers=headers, allow_redirects=False
            ) as response:
                return self._read(response, await response.read())
        except aiohttp.ClientSSLError as error:
            raise InputError(f"{self._url} has no certificate that this machine trusts: {error}") from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            raise TryAgainError(ServiceAwayError(f"{self._url} could not be reached ({why}): is it running?")) from None
        except aiohttp.ClientError as error:
            raise WrongAnswerError(f"{self._url} does not speak HTTP as this service does: {error}") from None

    def _read(self, response: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
        document = _parse(body)
        if response.ok and document is not None:
            return document
        if response.ok:
            raise WrongAnswerError(f"{response.url} answered {body[:60]!r}: check the URL")
        problem = document or {}
        title, detail = problem.get("title", response.reason), problem.get("detail", "it does not say why")
        refused = RefusedError(response.status, str(title), str(detail))
        after_s = read_retry_after(response.headers.get("Retry-After"))
        if after_s is None:
            raise refused
        raise TryAgainError(ServiceAwayError(f"{self._url} had no time or no model for too long: {refused}"), after_s)


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
