"""The pipeline's errors, in one hierarchy; a stage prints the message and exits with 1.

PipelineError
├── ParamsError       params.yaml or dvc.yaml has an unknown key or a wrong value
├── PackagesError     the environment differs from the lock
├── ArchiveError      the archive is missing or damaged, or has other content
├── DatasetError      images, masks or splits do not fit together
├── TrainingError     the training cannot continue
├── EvaluationError   a measurement is missing
├── MixedRunsError    files that belong together come from different runs
├── StudyError        the runs of a study do not fit together
└── ExportError       the exported graph is not the evaluated network
"""

import errno
import io
import signal
import sys
from collections.abc import Callable

from host.allocator import keep_all_freed_memory

FULL_DISK = ": make room there, or where TMPDIR is, and run again"


class PipelineError(Exception):
    """A user can correct this; the message says how."""


class ParamsError(PipelineError):
    """params.yaml or dvc.yaml has an unknown key or a wrong value."""


class PackagesError(PipelineError):
    """A package that changes results differs from the lock."""


class ArchiveError(PipelineError):
    """The archive is missing or damaged, or has other content."""


class DatasetError(PipelineError):
    """Images, masks or splits do not fit together."""


class TrainingError(PipelineError):
    """The training cannot continue."""


class EvaluationError(PipelineError):
    """A measurement is missing."""


class MixedRunsError(PipelineError):
    """Files that belong together come from different runs."""


class StudyError(PipelineError):
    """The runs of a study do not fit together."""


class ExportError(PipelineError):
    """The exported graph is not the evaluated network."""


def exit_status(main: Callable[[], None]) -> int:
    """Run a main() and return the process's exit status.

    A PipelineError is printed as one message. So is an OSError, such as a full or read-only disk. SIGTERM ends the
    process as SIGINT does, so that half-written files are removed.
    """
    keep_all_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal's encoding lacks ends nothing
        sys.stdout.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        main()
    except (PipelineError, OSError) as error:
        full = FULL_DISK if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
        print(f"{_command(main)}: {error}{full}", file=sys.stderr)  # noqa: T201 - the message is the interface
        return 1
    return 0


def _command(main: Callable[[], None]) -> str:
    """Return the name by which the module was started; sys.modules has it as `__main__`."""
    spec = sys.modules[main.__module__].__spec__
    return spec.name if spec else main.__module__
