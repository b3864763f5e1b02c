"""`python -m proxy`: read the settings, serve until SIGTERM or SIGINT, and say in one line why it could not start.

`python -m proxy --worker NUMBER` is how the supervisor starts one of several.
"""

import asyncio
import os
import signal
import sys

from host.allocator import keep_freed_memory
from proxy.app import serve
from proxy.errors import StartError
from proxy.settings import Settings, describe_settings
from proxy.supervisor import supervise
from proxy.telemetry import configure_logs

KEPT_BYTES = 64 * 2**20  # that may lie free before any is returned
LARGE_BYTES = 4 * 2**20  # an image and its answer are smaller

USAGE = "python -m proxy: answers POST /analyze. Everything is set by environment variables:\n\n{settings}"


async def run(settings: Settings, worker: str) -> int:
    """Serve, or have workers serve, until a signal asks to stop; return the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if settings.proxy_workers > 1 and not worker:
        return await supervise(settings, stop)
    await serve(settings, stop)
    return 0


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    match arguments:
        case []:
            worker = ""
        case ["--worker", worker]:
            pass
        case _:
            print(USAGE.format(settings=describe_settings()))  # noqa: T201
            return 0 if arguments == ["--help"] else 2
    try:
        settings = Settings.from_environment(os.environ)
        configure_logs(settings.log_level, worker)
        keep_freed_memory(kept_bytes=KEPT_BYTES, large_bytes=LARGE_BYTES)
        return asyncio.run(run(settings, worker))
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
