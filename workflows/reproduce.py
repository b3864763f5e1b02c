"""`python -m workflows.reproduce`: pull the pipeline's data from the remote, run the stages that are out of date."""

import sys

from workflows.commands import dvc
from workflows.errors import exit_status


def main() -> None:
    """Pull and reproduce; the stages make the data that the remote lacks."""
    dvc("pull", "--allow-missing")
    dvc("repro")


if __name__ == "__main__":
    sys.exit(exit_status(main))
