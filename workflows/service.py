"""HTTP requests to GitHub, to Heroku and to our own service, with JSON bodies; failures become ServiceError."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from typing import Any

from workflows.errors import ServiceError

TIMEOUT_S = 60
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # http_proxy is for other machines
USUALLY = urllib.request.build_opener()


class NotFoundError(ServiceError):
    """The service answers 404."""


class AwayError(ServiceError):
    """The service does not answer, or with 429 or 5xx: a later try may succeed."""


def call(method: str, url: str, headers: dict[str, str], body: bytes | dict[str, Any] | None = None) -> bytes:
    """Send a request and return the answer's body.

    Raises: ServiceError with the service's answer; NotFoundError or AwayError, if it is one.
    """
    if isinstance(body, dict):
        body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"} | headers
    if not url.startswith(("http://", "https://")):
        raise ServiceError(f"{url} is not an address: it must begin with https:// or http://")
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - checked in the line above
    opener = DIRECTLY if urllib.parse.urlsplit(url).hostname in ("127.0.0.1", "localhost") else USUALLY
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            found: bytes = response.read()
            return found
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(2000).decode(errors="replace")
        raise _kind(error.code)(f"{method} {url} answered {error.code}: {said}") from None
    except (OSError, http.client.HTTPException) as error:  # the latter: the answer broke off
        raise AwayError(f"{method} {url} failed: {error}") from None


def _kind(status: int) -> type[ServiceError]:
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError
    is_away = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return AwayError if is_away else ServiceError
