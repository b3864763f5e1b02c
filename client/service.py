"""The service over HTTP: one request for one image, sent again while the service is away or busy.

An analysis changes nothing at the service, so sending an image twice does no harm.
"""

import http.client
import json
import threading
import weakref
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from client.analysis import Analysis, read_analysis
from client.connections import Answer, Connections
from client.errors import InputError, RefusedError, ServiceAwayError, WrongAnswerError
from client.patience import TEMPORARY, Patience, TryAgainError, read_retry_after
from client.request import URL, check_part, check_seconds, check_share, media_type, service_url

TIMEOUT_S = 60.0  # the service answers within 30 s unless DEADLINE_S says otherwise
WAIT_S = 120.0


class Client:
    """Asks the service, and waits for its answer.

    Threads may share one client; it keeps its connections open.
    """

    def __init__(
        self, url: str = URL, *, api_key: str | None = None, timeout_s: float = TIMEOUT_S, wait_s: float = WAIT_S
    ) -> None:
        """Make a client; it connects at the first request.

        url: of the service, with the path prefix if there is one. api_key: if the service asks for one. timeout_s: how
        long the service may be silent. wait_s: how long an image is sent again while the service is away or busy.
        Raises: InputError.
        """
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise InputError("the API key has characters that a header cannot have: give it as printable ASCII")
        self._url = service_url(url)
        self._wait_s = check_seconds("wait_s", wait_s)
        self._headers = {"Accept": "application/json", **({"Authorization": f"Bearer {api_key}"} if api_key else {})}
        self._connections = Connections(self._url, timeout_s=timeout_s)
        self._closed = threading.Event()
        self._end = weakref.finalize(self, self._connections.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; otherwise that happens when nobody holds the client any more."""
        self._closed.set()
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

        Raises: RefusedError, if the service refuses the image or the caller; ServiceAwayError, if it stays away or busy
        for wait_s; WrongAnswerError; InputError.
        """
        return read_analysis(self.ask(image, part=part, threshold=threshold, alarm_score=alarm_score))

    def ask(
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
        path = f"/v1/analyze?{urlencode(query, quote_via=quote)}"
        patience = Patience(self._wait_s, self._closed)
        while True:
            try:
                return self._send("POST", path, image)
            except TryAgainError as told:
                patience.wait(told)

    def served_model(self) -> dict[str, Any]:
        """Return how the service describes the model that it serves now.

        Raises: RefusedError, ServiceAwayError, WrongAnswerError.
        """
        try:
            ready = self._send("GET", "/v1/health/ready")
        except TryAgainError as told:
            raise told.error from None
        if not isinstance(model := ready.get("model"), dict):
            raise WrongAnswerError(f"{self._url}/v1/health/ready names no model: check the URL")
        return model

    def _send(self, method: str, path: str, image: bytes | None = None) -> dict[str, Any]:
        """Send once.

        Raises: TryAgainError, if another try may succeed; RefusedError, InputError, WrongAnswerError.
        """
        headers = self._headers if image is None else {**self._headers, "Content-Type": media_type(image)}
        try:
            return self._read(self._connections.send(method, path, image, headers))
        except (OSError, http.client.IncompleteRead) as error:
            why = str(error) or "no answer in time"
            what = f"{self._url} could not be reached{self._connections.via}"
            raise TryAgainError(ServiceAwayError(f"{what} ({why}): is it running, and is the URL right?")) from None
        except http.client.HTTPException as error:
            raise WrongAnswerError(
                f"{self._url} does not speak HTTP as this service does ({error}): check the URL"
            ) from None

    def _read(self, answer: Answer) -> dict[str, Any]:
        document = _parse(answer.body)
        if document is not None and answer.status < http.client.MULTIPLE_CHOICES:
            return document
        if answer.status < http.client.BAD_REQUEST:
            place = answer.headers.get("Location")
            what = f"answered {answer.body[:60]!r}" if place is None else f"redirects to {place}"
            raise WrongAnswerError(f"{self._url} {what}: check the URL")
        problem = document or {}
        title, detail = problem.get("title", answer.reason), problem.get("detail", "it does not say why")
        refused = RefusedError(answer.status, str(title), str(detail))
        after_s = read_retry_after(answer.headers.get("Retry-After"))
        if after_s is None and answer.status not in TEMPORARY:
            raise refused
        raise TryAgainError(ServiceAwayError(f"{self._url} had no time or no model for too long: {refused}"), after_s)


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
