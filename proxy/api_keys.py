"""Who may use the service: optional API keys, known to this process only by their hashes.

`python -m proxy.make_key NAME` makes a key and prints the line for the file that API_KEYS_FILE names:

    # name    SHA-256 of the key    requests a second; without it as many as wanted
    line-3    9f86d081884c7d65…     20

The file is read again when it has changed. A broken file changes nothing: the keys that are known stay.
"""

import hashlib
import hmac
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from proxy.errors import SettingsError, TooManyRequestsError, UnknownKeyError

LOOK_S = 1.0  # between two looks at the file
LINE = re.compile(r"(?P<name>[\w.-]+)\s+(?P<digest>[0-9a-f]{64})(?:\s+(?P<rate>\d+(?:\.\d+)?))?")
log = structlog.get_logger(__name__)


@dataclass
class _Key:
    """One key: its owner, the SHA-256 of its text, its rate, and how many requests it may send now."""

    name: str
    digest: str
    rate: float | None
    left: float = 0.0
    counted_at: float = 0.0

    def take(self, now: float) -> float:
        """Take one request from a bucket that holds a second's worth; return the seconds until there is one, if any."""
        if self.rate is None:
            return 0
        self.left = min(max(1.0, self.rate), self.left + (now - self.counted_at) * self.rate)
        self.counted_at = now
        if self.left < 1:
            return (1 - self.left) / self.rate
        self.left -= 1
        return 0


class ApiKeys:
    """The known keys; without a file everybody may ask."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._keys: list[_Key] = []
        self._seen: tuple[int, int] | None = None  # the file's time and size
        self._looked = -LOOK_S
        self._complaint = ""  # what was last wrong with the file
        if path is not None:
            try:
                self._seen, self._keys = _stamp(path), _read(path)
            except (OSError, ValueError) as error:
                raise SettingsError(f"API_KEYS_FILE is {path}, which cannot be used: {error}") from None

    def require(self, authorization: str | None) -> None:
        """Let a request pass. authorization: the header, `Bearer <key>`.

        Raises: UnknownKeyError, TooManyRequestsError.
        """
        if self._path is None:
            return
        now = self._clock()
        if now - self._looked >= LOOK_S:
            self._looked = now
            self._read_again(self._path)
        key = self._find(authorization or "")
        if key is None:
            raise UnknownKeyError("this service requires an API key: send the header Authorization: Bearer <key>")
        if wait_s := key.take(now):
            raise TooManyRequestsError(
                f"the key {key.name!r} may send {key.rate:g} requests a second: send fewer", math.ceil(wait_s)
            )

    def _find(self, authorization: str) -> _Key | None:
        """Compare with every key, each in constant time: how long it takes tells nothing about any of them."""
        scheme, _, text = authorization.partition(" ")
        digest = hashlib.sha256(text.strip().encode(errors="surrogateescape")).hexdigest()
        found = [key for key in self._keys if hmac.compare_digest(key.digest, digest)]
        return found[0] if found and scheme.lower() == "bearer" else None

    def _read_again(self, path: Path) -> None:
        try:
            stamp = _stamp(path)
            if stamp == self._seen:
                self._complaint = ""
                return
            self._take(_read(path))
            self._seen, self._complaint = stamp, ""
        except (OSError, ValueError) as error:  # every look tries again: chmod does not change the file's time
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.error("api_keys_unread", error=self._complaint)  # noqa: TRY400  one line says it all
        else:
            log.info("api_keys_read", keys=len(self._keys))

    def _take(self, keys: list[_Key]) -> None:
        known = {(key.name, key.digest, key.rate): key for key in self._keys}
        self._keys = [known.get((key.name, key.digest, key.rate), key) for key in keys]  # a bucket stays as full


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _read(path: Path) -> list[_Key]:
    keys = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        fields = LINE.fullmatch(text)
        if fields is None:
            raise ValueError(
                f"line {number} is not a name, 64 hexadecimal digits and, optionally, a number: correct it"
            )
        rate = float(fields["rate"]) if fields["rate"] else None
        if rate == 0:
            raise ValueError(f"line {number} allows 0 requests a second: allow more, or remove the line")
        keys.append(_Key(fields["name"], fields["digest"], rate, left=max(1.0, rate or 1.0)))
    return keys
