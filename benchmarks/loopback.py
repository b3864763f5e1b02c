"""Runs an aiohttp application as a server on loopback, for the benchmarks' own servers."""

import asyncio
import os
from typing import Any

from aiohttp import web


async def serve(app: web.Application, **options: Any) -> None:
    """Answer on loopback, at the port that PORT names, until SIGTERM or Ctrl-C; options: those of aiohttp's server."""
    runner = web.AppRunner(app, handle_signals=True, **{"access_log": None, **options})
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"])).start()
    await asyncio.Event().wait()
