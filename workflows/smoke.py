"""`python -m workflows.smoke URL`: run the smoke test against a service."""

import argparse
import sys

from workflows.errors import exit_status
from workflows.smoke_test import check, expected_model


def main() -> None:
    """Check the service at an address."""
    parser = argparse.ArgumentParser(prog="python -m workflows.smoke", description="Real images to POST /analyze.")
    parser.add_argument("url", help="address of the service, such as http://127.0.0.1:8080")
    check(parser.parse_args().url, expected_model())


if __name__ == "__main__":
    sys.exit(exit_status(main))
