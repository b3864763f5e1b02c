"""`python -m client`: photographs through the service, and from a mask back to its training run."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from client.command import add_options, analyze
from client.errors import ClientError

UNUSABLE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0 if all was done, 1 if an image has no answer, 2 if nothing could be done."""
    parser = argparse.ArgumentParser(prog="python -m client", description="Use the service on many photographs.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_options(commands.add_parser("analyze", help="photographs -> masks, overlays and a table"))
    way_back = commands.add_parser("provenance", help="a mask or overlay -> the training run of its model")
    way_back.add_argument("picture", type=Path, metavar="PNG")
    options = parser.parse_args(arguments)
    try:
        if options.command == "analyze":
            return analyze(options)
        from client.provenance import provenance  # noqa: PLC0415  it loads Pillow, for which `analyze` need not wait

        sys.stdout.buffer.write(provenance(options.picture).encode(errors="backslashreplace"))
    except ClientError as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: run the command again, what was answered is not sent again\n")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
