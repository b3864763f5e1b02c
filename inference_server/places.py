"""The temporary folder in which Triton can run: with room, executable, and with a path that every shell can read.

Triton starts its stub by `bash -c "exec <path> …"`, without quotes, so a blank or a non-ASCII letter in the path
breaks the start. Where TMPDIR does not do, one of the usual folders takes its place.
"""

import os
import re
import tempfile
from pathlib import Path

from host.memory import MIB, SHARED_MEMORY
from inference_server.errors import LimitError

PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+=@%:,-]+")
SPARE_BYTES = 8 * MIB  # for folders, and for what Triton itself writes


def choose_place(needed_bytes: int) -> Path:
    """Return the temporary folder to run in: TMPDIR, or the first that does.

    Raises: LimitError, which says for each folder why it does not do.
    """
    refused = []
    for place in _candidates():
        if reason := why_not(place, needed_bytes + SPARE_BYTES):
            refused.append(f"{place} {reason}")
        else:
            return place.resolve()
    raise LimitError(f"no temporary folder can hold Triton's files: {'; '.join(refused)}; set TMPDIR to one that can")


def _candidates() -> list[Path]:
    given = os.environ.get("TMPDIR")
    usual = [Path("/tmp"), Path("/var/tmp"), SHARED_MEMORY]  # noqa: S108  a lease keeps each owner's files apart
    return list(dict.fromkeys([*([Path(given)] if given else []), *usual]))


def why_not(place: Path, needed_bytes: int) -> str:
    """Return why Triton cannot run in this folder; an empty text where it can."""
    try:
        if not place.is_dir():
            return "is no folder"
        if not PLAIN_PATH.fullmatch(str(place.resolve())):
            return "has a blank or another special letter in its path"
        status = os.statvfs(place)
        if status.f_flag & os.ST_NOEXEC:
            return "is mounted with noexec"
        if (free := status.f_bavail * status.f_frsize) < needed_bytes:
            return f"has {free // MIB} MiB free, of the {-(-needed_bytes // MIB)} MiB needed"
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return f"cannot be used ({error.strerror})"
