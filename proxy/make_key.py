"""`python -m proxy.make_key NAME`: make an API key, and print it and its line for the file that API_KEYS_FILE names."""

import hashlib
import re
import secrets
import sys

KEY_BYTES = 32


def main(arguments: list[str]) -> int:
    """Make a key; return the exit code."""
    if len(arguments) != 1 or not re.fullmatch(r"[\w.-]+", arguments[0]):
        print("usage: python -m proxy.make_key NAME", file=sys.stderr)  # noqa: T201
        return 2
    key = secrets.token_urlsafe(KEY_BYTES)
    print(f"give to the client: {key}")  # noqa: T201
    print(f"line for the file:  {arguments[0]} {hashlib.sha256(key.encode()).hexdigest()}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
