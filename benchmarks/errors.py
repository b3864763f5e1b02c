"""Why a benchmark ends without a result. Each message says in one line what to do.

BenchmarkError
├── ToolMissingError    a program or an environment is not installed
├── ServerStartError    a server ended, or was not ready in time
├── LoadError           a load tool failed, or could not make the requested load
└── AnswerError         a server answers wrongly, so its speed means nothing
"""

import signal
import sys
from collections.abc import Callable

from inference_server.errors import ServingError

INTERRUPTED = 130  # what a shell reports after Ctrl-C


class BenchmarkError(Exception):
    """There is no result; the message says why and what to do."""


class ToolMissingError(BenchmarkError):
    """A program or an environment is not installed."""


class ServerStartError(BenchmarkError):
    """A server ended, or was not ready in time."""


class LoadError(BenchmarkError):
    """The load could not be made."""


class AnswerError(BenchmarkError):
    """A server answers wrongly."""


def exit_status(benchmark: Callable[[], None]) -> int:
    """Run a benchmark's main and return the process's exit status.

    SIGTERM and SIGHUP end it as Ctrl-C does, so that every `with` block ends what it started.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        benchmark()
    except (BenchmarkError, ServingError, OSError) as error:
        say(f"no result: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def say(text: str) -> None:
    """Write a line to the terminal."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the person at the terminal reads it
