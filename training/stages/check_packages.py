"""Stage check_packages: the lock → requirements/training.json, the locked versions of the packages that change results.

The record depends only on the lock, so it is equal on every machine. Every later stage repeats the check itself,
because the environment may have changed since the record was written.
"""

import json
import sys

from host.files import write_whole
from training.errors import exit_status
from training.files import PACKAGES_RECORD
from training.packages import check_packages


def main() -> None:
    """Run the stage."""
    write_whole(PACKAGES_RECORD, json.dumps(check_packages(), indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(exit_status(main))
