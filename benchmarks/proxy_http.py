"""What is left of the proxy when it does nothing: aiohttp reads the upload and answers as many bytes.

Run by benchmarks/proxy.py in the serving environment; its processor time is aiohttp's share of the proxy's.
"""

import asyncio
import sys

from aiohttp import web

from proxy.app import SERVER_OPTIONS

ANSWER = bytes(300)  # about a sample's mask as PNG


async def analyze(request: web.Request) -> web.Response:
    """Read the body as the proxy does, in the pieces in which it comes."""
    async for _ in request.content.iter_any():
        pass
    return web.Response(body=ANSWER, content_type="image/png")


async def ready(_request: web.Request) -> web.Response:
    """Answer 200."""
    return web.Response()


async def serve(port: int) -> None:
    """Answer until the process is ended."""
    app = web.Application()
    app.add_routes([web.post("/analyze", analyze), web.get("/health/ready", ready)])
    runner = web.AppRunner(app, handle_signals=True, **SERVER_OPTIONS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def main() -> int:
    """Serve, and return the exit status."""
    try:
        asyncio.run(serve(int(sys.argv[1])))
    except (KeyboardInterrupt, web.GracefulExit):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
