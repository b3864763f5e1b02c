"""Finds other programs by name and runs them to their end."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.errors import LoadError, ToolMissingError
from host.processes import end_with_parent

Command = Sequence[str | Path]


def find_tool(name: str, install: str) -> Path:
    """Find a program: in an environment variable (K6 for k6), else in this environment, else on the PATH.

    install: how a person installs it.
    Raises: ToolMissingError.
    """
    variable = name.upper().replace("-", "_")
    here = Path(sys.executable).with_name(name)
    found = shutil.which(os.environ.get(variable) or (here if here.exists() else name))
    if found is None:
        raise ToolMissingError(f"{name} is not installed: {install}, or set {variable} to its path")
    return Path(found)


def named_serving_python() -> Path:
    """Return the serving environment's Python, which may be missing: SERVING_PYTHON, or .venv-serving/bin/python."""
    return Path(os.environ.get("SERVING_PYTHON", ".venv-serving/bin/python"))


def serving_python() -> Path:
    """Return the absolute path of the Python of the serving environment.

    Raises: ToolMissingError.
    """
    python = named_serving_python()
    if not python.exists():
        raise ToolMissingError(f"{python} does not exist: run `make setup`, or set SERVING_PYTHON")
    return python.absolute()


def run_tool(command: Command, *, timeout_s: float, variables: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return its standard output.

    Raises: LoadError, if it fails or does not end in time.
    """
    words = [str(word) for word in command]
    name = " ".join([Path(words[0]).name, *words[1:4]])
    try:
        ended = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(variables or {})},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            preexec_fn=end_with_parent,
            encoding="utf-8",
        )
    except subprocess.TimeoutExpired:
        raise LoadError(f"{name} … did not end within {timeout_s:g} s") from None
    if ended.returncode:
        last = ((ended.stderr or ended.stdout).strip().splitlines() or ["it wrote nothing"])[-1]
        raise LoadError(f"{name} … failed with status {ended.returncode}: {last}")
    return ended.stdout
