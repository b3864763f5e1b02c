"""`python -m launch`: Triton and the proxy in the foreground until SIGTERM, SIGINT or SIGHUP."""

import os
import sys

from host.environment import help_text
from inference_server.child import stop_signals
from inference_server.errors import ServingError, SettingError
from inference_server.settings import Settings as TritonSettings
from launch.settings import Settings
from launch.together import refused, say, serving

USAGE = """python -m launch: starts Triton and the proxy. Environment variables set everything, those of
`python -m proxy --help` as well:

{variables}
"""


def main(arguments: list[str]) -> int:
    """Serve, and return the exit status: 0 after a stop signal, otherwise one of inference_server/errors.py."""
    if arguments:
        sys.stdout.write(USAGE.format(variables="\n".join(map(help_text, (Settings, TritonSettings)))))
        return 0 if arguments == ["--help"] else SettingError.exit_status
    try:
        with stop_signals() as stop, serving(os.environ, stop) as service:
            say(f"open {service.url} in a browser, or POST an image to {service.url}/analyze; Ctrl-C ends it")
            return service.wait(stop)
    except ServingError as error:
        return refused(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
