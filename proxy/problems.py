"""Failures as problem documents (RFC 9457), whoever raised them."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from proxy.errors import ProxyError
from proxy.security_headers import SECURITY_HEADERS

CONTENT_TYPE = "application/problem+json"
MAX_HEADERS = 64  # of one request
MAX_HEAD_BYTES = 32_768  # of one request's line and headers together
_ADDRESS = (
    r"(?:\[[0-9A-Fa-f:.]+\]:\d+|[\w.-]+:\d{1,5}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9A-Fa-f]*(?::[0-9A-Fa-f]*){2,}\b)"
)
AT_ADDRESS = re.compile(rf" at {_ADDRESS}")
ASIDE = re.compile(rf" \([^()]*{_ADDRESS}.*\)")  # a library's own words
ADDRESS = re.compile(_ADDRESS)


def problem_of(error: ProxyError, request_id: str) -> web.Response:
    """Answer one of our own errors; the problem's type is made from its title."""
    return _respond({**document_of(error), "request_id": request_id, **error.extension}, error.headers)


def document_of(error: ProxyError) -> dict[str, Any]:
    """Return what a problem document says of one of our own errors, without the request's id."""
    slug = error.title.lower().replace(" ", "-")
    detail = without_addresses(str(error)) if error.inside else str(error)
    return {
        "type": f"urn:problem-type:{slug}", "title": error.title, "status": error.status, "detail": _as_text(detail),
    }  # fmt: skip


def without_addresses(text: str) -> str:
    """Return a message without the addresses of servers that only this one can reach."""
    return ADDRESS.sub("…", ASIDE.sub("", AT_ADDRESS.sub("", text)))


def problem_of_http(error: web.HTTPException, request: web.Request, request_id: str) -> web.Response:
    """Answer a request that aiohttp's router refuses, for its path or its method."""
    detail, headers = f"{request.method} {request.path} is refused: {error.reason}", {}
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        detail, headers = f"{request.method} is not allowed for {request.path}: use {allowed}", {"Allow": allowed}
    elif error.status == web.HTTPNotFound.status_code:
        detail = "there is nothing here: POST an image to /analyze, or open / in a browser"
    return _problem(error.status, error.reason, detail, request_id, headers)


def problem_of_bug(request_id: str) -> web.Response:
    """Answer a request that met a bug, without showing the bug to the client."""
    detail = f"the service has a bug: its log has the traceback under the request id {request_id}"
    return _problem(500, "Internal Server Error", detail, request_id, {})


def problem_of_bad_http(request_id: str, *, too_long: bool) -> web.Response:
    """Answer what is no request: aiohttp's parser refuses it. What the client sent is not repeated."""
    if too_long:
        status, detail = (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            (
                f"a line is too long, or there are more than {MAX_HEADERS} headers, or {MAX_HEAD_BYTES} bytes of "
                "them: send shorter ones, or fewer"
            ),
        )
    else:
        status, detail = (
            HTTPStatus.BAD_REQUEST,
            "this is not HTTP/1.1 as it is written in RFC 9112: send a correct request",
        )
    return _problem(status, status.phrase, detail, request_id, {})


def problem_of_old_http(request_id: str) -> web.Response:
    """Answer a request of HTTP/0.9, whose client could not read a header; the answer ends its connection."""
    status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    response = _problem(status, status.phrase, "the request is not HTTP/1.1: send one that is", request_id, {})
    response.force_close()
    return response


def raw_problem(status: int, title: str, detail: str) -> bytes:
    """Return a whole answer for a connection on which there is no request; it ends the connection."""
    body = orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": len(body),
        "Connection": "close",
        "Cache-Control": "no-store",
        **SECURITY_HEADERS,
        **({"Retry-After": 1} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}),
    }
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _problem(status: int, title: str, detail: str, request_id: str, headers: Mapping[str, str]) -> web.Response:
    document = {"type": "about:blank", "title": title, "status": status, "detail": _as_text(detail)}
    return _respond({**document, "request_id": request_id}, headers)


def _respond(document: Mapping[str, Any], headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        body=orjson.dumps(document), status=document["status"], content_type=CONTENT_TYPE, headers=headers
    )


def _as_text(detail: str) -> str:
    """Return the text without what is no valid one: it may quote a client's bytes."""
    return detail.encode(errors="backslashreplace").decode()
