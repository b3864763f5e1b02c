"""What can go wrong in the pipeline, as one tree; a stage prints the message and exits with 1.

PipelineError
├── ParamsError       params.yaml holds something that no stage knows
├── PackagesError     the environment differs from the lock
├── ArchiveError      the archive can't be had, or is not what it should be
├── DatasetError      images, masks or splits don't fit together
├── TrainingError     the training can't go on
├── EvaluationError   what was measured is not there
├── CrossvalError     the runs don't make one report
└── ExportError       the exported graph is not what was evaluated
"""

import signal
import sys
from collections.abc import Callable

from training.allocation import keep_freed_memory


class PipelineError(Exception):
    """A user can mend this; the message says how."""


class ParamsError(PipelineError):
    """params.yaml holds something that no stage knows."""


class PackagesError(PipelineError):
    """The environment differs from the lock in what changes results."""


class ArchiveError(PipelineError):
    """The archive can't be had, or is not what it should be."""


class DatasetError(PipelineError):
    """Images, masks or splits don't fit together."""


class TrainingError(PipelineError):
    """The training can't go on."""


class EvaluationError(PipelineError):
    """What was measured is not there."""


class CrossvalError(PipelineError):
    """The runs don't make one report."""


class ExportError(PipelineError):
    """The exported graph is not what was evaluated."""


def exit_status(stage: Callable[[], None]) -> int:
    """Run a stage's main and return the process's exit status.

    A PipelineError is printed as one message, and so is what a disk, full or read-only, refuses: it names its file.
    SIGTERM ends it as SIGINT does: what was written aside is removed. Memory that it frees is kept for its next step.
    """
    keep_freed_memory()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        stage()
    except (PipelineError, OSError) as error:
        print(f"{stage.__module__}: {error}", file=sys.stderr)  # noqa: T201 - the message is the interface
        return 1
    return 0
