"""Which web pages of other origins may ask: none, unless CORS_ORIGINS names them.

Source: the Fetch standard, section "HTTP-CORS protocol".
"""

from collections.abc import Mapping

from aiohttp import web

PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, X-Request-ID",
    "Access-Control-Max-Age": "600",
}


class Cors:
    """The allowed origins: separated by commas; `*` allows all, and an empty text none."""

    def __init__(self, origins: str) -> None:
        self._origins = frozenset(filter(None, map(_as_browsers_write, origins.split(","))))

    def __bool__(self) -> bool:
        return bool(self._origins)

    def headers(self, request: web.Request) -> Mapping[str, str]:
        """Return what an answer to this request tells its browser."""
        origin = request.headers.get("Origin")
        if not self._origins or origin is None:
            return {}
        if "*" not in self._origins and origin not in self._origins:
            return {"Vary": "Accept, Accept-Encoding, Origin"}
        allowed = "*" if "*" in self._origins else origin
        return {
            "Access-Control-Allow-Origin": allowed,
            "Access-Control-Expose-Headers": "*",
            "Vary": "Accept, Accept-Encoding, Origin",
        }


def _as_browsers_write(origin: str) -> str:
    """Return an origin in small letters and without the port that is its scheme's own."""
    small = origin.strip().lower()
    return small.removesuffix(":443" if small.startswith("https:") else ":80")


async def preflight(_request: web.Request) -> web.Response:
    """Answer the question of a browser that is about to POST; the origin is judged by the middleware."""
    return web.Response(status=204, headers=PREFLIGHT)
