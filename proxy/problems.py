"""Failures as problem documents (RFC 9457), whoever raised them."""

from collections.abc import Mapping

import orjson
from aiohttp import web

from proxy.errors import ProxyError

CONTENT_TYPE = "application/problem+json"


def problem_of(error: ProxyError, request_id: str) -> web.Response:
    """Answer one of our own errors; its type is named after its title."""
    slug = error.title.lower().replace(" ", "-")
    return _problem(error.status, error.title, str(error), request_id, error.headers, kind=f"urn:problem-type:{slug}")


def problem_of_http(error: web.HTTPException, request: web.Request, request_id: str) -> web.Response:
    """Answer what aiohttp's router refuses: an unknown path or method."""
    detail, headers = f"{request.method} {request.path} cannot be answered", {}
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        detail, headers = f"{request.path} takes {allowed} only", {"Allow": allowed}
    elif error.status == web.HTTPNotFound.status_code:
        detail = "there is nothing here: POST an image to /analyze, or open / in a browser"
    return _problem(error.status, error.reason, detail, request_id, headers)


def problem_of_bug(request_id: str) -> web.Response:
    """Answer what should not have happened, without telling its inside."""
    detail = f"the log says more under the request id {request_id}"
    return _problem(500, "Internal Server Error", detail, request_id, {})


def _problem(
    status: int, title: str, detail: str, request_id: str, headers: Mapping[str, str], *, kind: str = "about:blank"
) -> web.Response:
    detail = detail.encode(errors="backslashreplace").decode()  # what a client sent may be no valid text
    document = {"type": kind, "title": title, "status": status, "detail": detail, "request_id": request_id}
    return web.Response(body=orjson.dumps(document), status=status, content_type=CONTENT_TYPE, headers=headers)
