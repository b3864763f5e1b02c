"""What a run's folder knows of earlier answers: one line of JSON for each, written as soon as the pictures are there.

A broken line, which a killed run or a full disk leaves, counts as none. An answer belongs to the bytes of a file,
its part and the operating point that was asked for, not to the file's name or date.
"""

import contextlib
import errno
import hashlib
import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from client.errors import InputError

if sys.platform != "win32":
    import fcntl

FILE = "journal.jsonl"
START = b'{"key":"'  # of each line, and of no other program's file
CANNOT_LOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what some network file systems answer
KEY_LETTERS = 32


def journal_key(content: bytes, part: str | None, settings: Mapping[str, float | None]) -> str:
    """Return a short name for all that an answer depends on, except the model."""
    asked = json.dumps([hashlib.sha256(content).hexdigest(), part, sorted(settings.items())])
    return hashlib.sha256(asked.encode()).hexdigest()[:KEY_LETTERS]


class Journal:
    """The journal of one folder, open for reading and appending; use it in a `with` block, which one run at a time has.

    Answers stay in the file and not in memory, so that a folder may have very many. Threads may share a journal.
    Raises: InputError, when the file is another program's, or another run has it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE
        self._places: dict[str, int] = {}  # of the last line with a key, at the start of the run
        self._shown: dict[str, str] = {}  # the key whose pictures a name has
        self._moving = threading.Lock()  # the place in the file
        self._file: BinaryIO

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self._file = undo.enter_context(self._path.open("a+b"))
            self._lock()
            self._read()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def find(self, key: str) -> dict[str, Any] | None:
        """Return {"answer": …} or {"problem": …} of an earlier run; None if it has none."""
        if key not in self._places:
            return None
        with self._moving:
            self._file.seek(self._places[key])
            line = self._file.readline()
        entry: dict[str, Any] = json.loads(line)
        return entry

    def shows(self, name: str, key: str) -> bool:
        """Whether the pictures of this name were last drawn from the answer with this key."""
        return self._shown.get(name) == key

    def add(self, key: str, name: str, **what: Mapping[str, Any]) -> None:
        """Append an `answer` or a `problem`. It is safe from the end of this process, not from a power cut."""
        line = json.dumps({"key": key, "file": name, **what}, separators=(",", ":"))
        with self._moving:
            self._file.seek(0, 2)
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        self._shown[name] = key

    def _lock(self) -> None:
        if sys.platform == "win32":
            return  # it has no such lock
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in CANNOT_LOCK:
                return
            raise InputError(
                f"another run writes into {self._path.parent}: wait until it ends, or choose another --out"
            ) from None

    def _read(self) -> None:
        self._file.seek(0)
        place, line = 0, b"\n"
        for line in self._file:
            if not place and not START.startswith(line.rstrip()[: len(START)]):
                raise InputError(f"{self._path} is no journal of this program: choose another --out")
            self._learn(line, place)
            place += len(line)
        if not line.endswith(b"\n"):
            self._file.write(b"\n")

    def _learn(self, line: bytes, place: int) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            self._places[entry["key"]] = place
            self._shown[entry["file"]] = entry["key"]
