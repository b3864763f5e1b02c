"""Why a benchmark ends without a result; each text is one line that names the mend.

BenchmarkError
├── ToolMissingError    a program or an environment that it needs is not there
├── ServerStartError    a server ended, or was not ready in time
├── LoadError           the load tool failed, or could not make the load that was asked for
└── AnswerError         what is measured answers wrongly: its speed means nothing
"""

import signal
import sys
from collections.abc import Callable

from inference_server.errors import ServingError

INTERRUPTED = 130  # as a shell says of Ctrl-C


class BenchmarkError(Exception):
    """There is no result; the message says why and what to do."""


class ToolMissingError(BenchmarkError):
    """A program or an environment is not there."""


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
        say(f"{benchmark.__module__}: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
