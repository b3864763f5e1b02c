"""`python -m inference_server`: serve in the foreground until SIGTERM, SIGINT or SIGHUP."""

import os
import sys

from host.environment import help_text
from inference_server.child import first_of, stop_signals
from inference_server.errors import ServingError, SettingError
from inference_server.keeper import kept
from inference_server.launcher import running
from inference_server.limits import warn
from inference_server.log import write_line
from inference_server.settings import Settings

USAGE = "python -m inference_server: starts Triton. Environment variables set everything:\n\n{variables}\n"


def main(arguments: list[str]) -> int:
    """Serve, and return the exit status: 0 after a stop signal, otherwise one of errors.py."""
    if arguments:
        sys.stdout.write(USAGE.format(variables=help_text(Settings)))
        return 0 if arguments == ["--help"] else SettingError.exit_status
    try:
        settings = Settings.from_environment(os.environ)
        warn(os.environ, settings, _say)
        description = settings.description  # before Triton takes some of the shared memory that decides on it
        with (
            stop_signals() as stop,
            kept(
                "Triton",
                lambda stopped: running(settings, stop=stopped),
                restarts=settings.restarts,
                stop=stop,
                say=_say,
            ) as (keeper, server),
        ):
            _say(f"serving {description}")
            _say(f"at http://{server.address}, metrics at http://{server.metrics_address}/metrics; Ctrl-C ends it")
            if first_of([stop, keeper]) is stop:
                return 0
            raise keeper.error()
    except ServingError as error:
        _say(str(error))
        return error.exit_status


def _say(text: str) -> None:
    write_line(sys.stderr, f"inference_server: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
