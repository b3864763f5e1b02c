"""Files that are read once and served from memory, compressed where that makes them smaller.

A browser gets them again only when they changed.
"""

import gzip
import hashlib
import re
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from aiohttp import web

NO_GZIP = re.compile(r"gzip\s*;\s*q\s*=\s*0(\.0*)?\s*(,|$)", re.IGNORECASE)  # RFC 9110, section 12.5.3


def serve(content: bytes, content_type: str) -> Callable[[web.Request], Coroutine[Any, Any, web.Response]]:
    """Return a handler that answers with this body, or with 304 if the client has it already."""
    charset = "utf-8" if content_type.startswith("text/") else None
    digest = hashlib.sha256(content).hexdigest()[:16]
    packed = gzip.compress(content, mtime=0)
    plainly = (content, _headers(digest))
    briefly = (packed, _headers(f"{digest}-gzip") | {"Content-Encoding": "gzip"})

    async def handle(request: web.Request) -> web.Response:
        codings = request.headers.get("Accept-Encoding", "")
        takes_gzip = "gzip" in codings and not NO_GZIP.search(codings)
        sent, headers = briefly if takes_gzip and len(packed) < len(content) else plainly
        if {"*", headers["ETag"].strip('"')} & {each.value for each in request.if_none_match or ()}:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(body=sent, content_type=content_type, charset=charset, headers=headers)

    return handle


def _headers(etag: str) -> dict[str, str]:
    # no-cache: a new release changes the file under the same name
    return {"Cache-Control": "no-cache", "ETag": f'"{etag}"', "Vary": "Accept-Encoding"}
