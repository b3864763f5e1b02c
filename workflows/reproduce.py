"""`python -m workflows.reproduce`: fetch what the remote has of the pipeline's data, run what is not up to date."""

import sys

from workflows.commands import run
from workflows.errors import exit_status


def main() -> None:
    """Pull and reproduce; what the remote lacks is made by its stage."""
    run("dvc", "pull", "--allow-missing")
    run("dvc", "repro")


if __name__ == "__main__":
    sys.exit(exit_status(main))
