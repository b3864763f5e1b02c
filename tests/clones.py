"""Clones of this repository in which tests run the pipeline's commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def run(folder: Path, *words: str, **env: str) -> str:
    """Run a command of the training environment there and return what it wrote; a failure fails the test with it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        words, cwd=folder, env=os.environ | {"PATH": path} | env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout + done.stderr


def clone(source: Path, target: Path) -> Path:
    run(ROOT, "git", "clone", "--quiet", str(source), str(target))
    run(target, "git", "config", "user.name", "test")
    run(target, "git", "config", "user.email", "test@example.com")
    return target


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", message)
