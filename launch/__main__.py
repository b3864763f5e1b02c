"""`python -m launch`: Triton and the proxy in the foreground until SIGTERM, SIGINT or SIGHUP."""

import os
import sys

from inference_server.child import stop_signals
from inference_server.errors import ServingError
from launch.together import refused, say, serving


def main() -> int:
    """Serve, and return the exit status: 0 when asked to stop, 1 when one of the two ended by itself."""
    try:
        with stop_signals() as stop, serving(os.environ, stop) as service:
            say(f"open {service.url} in a browser, or POST an image to {service.url}/analyze; Ctrl-C ends it")
            return service.wait(stop)
    except ServingError as error:
        return refused(error)


if __name__ == "__main__":
    sys.exit(main())
