"""What the installation of the serving environment asks for, with nothing but Python installed.

python -m inference_server.prepare machine      whether Triton's wheel can serve on this machine
python -m inference_server.prepare libpython    bring the shared library of the running Python, if it is missing
"""

import sys
from collections.abc import Callable

from inference_server.errors import ServingError
from inference_server.libpython import fetch
from inference_server.machine import refuse_machine

STEPS = {"machine": refuse_machine, "libpython": fetch}


def exit_status(step: Callable[[], None]) -> int:
    """Run a step; if it fails say why, and return the exit status."""
    try:
        step()
    except ServingError as error:
        sys.stderr.write(f"inference_server: {error}\n")
        return error.exit_status
    return 0


def main(words: list[str]) -> int:
    """Run the step that the command line names."""
    if len(words) != 1 or words[0] not in STEPS:
        sys.stderr.write(f"usage: python -m inference_server.prepare {'|'.join(STEPS)}\n")
        return 2
    return exit_status(STEPS[words[0]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
