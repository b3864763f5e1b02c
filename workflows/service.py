"""HTTP requests to GitHub, to Heroku and to our own service, with JSON bodies; failures become ServiceError."""

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


def call(method: str, url: str, headers: dict[str, str], body: bytes | dict[str, Any] | None = None) -> bytes:
    """Send a request and return the answer's body.

    Raises: ServiceError with the service's answer; NotFoundError if it is 404.
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
            kind = NotFoundError if error.code == HTTPStatus.NOT_FOUND else ServiceError
            said = error.read(2000).decode(errors="replace")
        raise kind(f"{method} {url} answered {error.code}: {said}") from None
    except OSError as error:
        raise ServiceError(f"{method} {url} failed: {error}") from None
