"""`python -m proxy`: read the settings, serve until SIGTERM or SIGINT, and say in one line why it could not start."""

import asyncio
import os
import signal
import sys

import structlog

from host.allocator import keep_freed_memory
from host.descriptors import raise_descriptors
from host.environment import help_text, near_misses
from proxy.app import serve
from proxy.errors import StartError
from proxy.logs import configure_logs
from proxy.settings import Settings

KEPT_BYTES = 64 * 2**20  # of free memory that the process keeps for the next requests
LARGE_BYTES = 4 * 2**20  # an image and its answer are smaller

USAGE = "python -m proxy: answers POST /analyze. Environment variables set everything:\n\n{variables}"


async def _serve_until_a_signal(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop)


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    if arguments:
        print(USAGE.format(variables=help_text(Settings)))  # noqa: T201
        return 0 if arguments == ["--help"] else 2
    try:
        settings = Settings.from_environment(os.environ)
        configure_logs(settings.log_level)
        for warning in near_misses(os.environ, Settings):
            structlog.get_logger(__name__).warning("unknown_variable", reason=warning)
        raise_descriptors()
        keep_freed_memory(kept_bytes=KEPT_BYTES, large_bytes=LARGE_BYTES)
        asyncio.run(_serve_until_a_signal(settings))
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
