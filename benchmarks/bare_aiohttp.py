"""The proxy's HTTP server without the proxy's work: aiohttp reads the upload and answers as many bytes as a mask has.

Run by benchmarks/proxy.py in the serving environment. Its processor time is aiohttp's share of the proxy's.
"""

import asyncio
import contextlib

from aiohttp import web

from benchmarks.loopback import serve
from proxy.app import SERVER_OPTIONS

ANSWER = bytes(300)  # about a sample's mask as PNG


async def analyze(request: web.Request) -> web.Response:
    """Read the body as the proxy does, in pieces as they arrive."""
    async for _ in request.content.iter_any():
        pass
    return web.Response(body=ANSWER, content_type="image/png")


async def ready(_request: web.Request) -> web.Response:
    """Answer 200."""
    return web.Response()


if __name__ == "__main__":
    app = web.Application()
    app.add_routes([web.post("/analyze", analyze), web.get("/health/ready", ready)])
    with contextlib.suppress(KeyboardInterrupt, web.GracefulExit):  # its usual end
        asyncio.run(serve(app, **SERVER_OPTIONS))
