"""The errors of the workflows, in one hierarchy; a step prints the message and exits with 1.

WorkflowError
├── SettingsError   a variable is missing or has a wrong value
├── CommandError    a program that we started failed
├── ServiceError    GitHub or Heroku gave an unexpected answer
├── PublishError    the commit could not be pushed to the branch
├── ImageError      there is no image of these sources
├── ResultsError    the results of HEAD are not of one run
└── SmokeError      the service does not answer as it should
"""

import os
import sys
from collections.abc import Callable


class WorkflowError(Exception):
    """A person can fix this; the message says how."""


class SettingsError(WorkflowError):
    """A variable is missing or has a wrong value."""


class CommandError(WorkflowError):
    """A program that we started failed."""


class ServiceError(WorkflowError):
    """GitHub or Heroku gave an unexpected answer."""


class PublishError(WorkflowError):
    """The commit could not be pushed to the branch."""


class ImageError(WorkflowError):
    """There is no image of these sources."""


class ResultsError(WorkflowError):
    """The results of HEAD are not of one run."""


class SmokeError(WorkflowError):
    """The service does not answer as it should."""


def setting(name: str, default: str | None = None) -> str:
    """Return a variable of the environment. An empty one counts as missing: GitHub passes unset variables as empty.

    Raises: SettingsError.
    """
    found = os.environ.get(name) or default
    if found is None:
        where = "docs/workflows.md, or the head of the module in workflows/, says what it is"
        raise SettingsError(f"{name} is not set: {where}")
    return found


def exit_status(step: Callable[[], None]) -> int:
    """Run a step's main and return the process's exit status."""
    try:
        step()
    except WorkflowError as error:
        print(f"{step.__module__}: {error}", file=sys.stderr)  # noqa: T201 - the message is the interface
        return 1
    return 0
