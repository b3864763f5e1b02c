"""Clones of this repository in which tests run the pipeline's commands."""

import os
import subprocess
import sys
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

DVC = (sys.executable, "-m", "dvc")


def run(folder: Path, *words: str, **env: str) -> str:
    """Run a command of the training environment there and return what it wrote; a failure fails the test with it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [*DVC, *words[1:]] if words[0] == "dvc" else words
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path} | env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout + done.stderr


def git(folder: Path, *words: str) -> str:
    """Run git there as somebody, and return what it wrote to standard output."""
    command = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def clone(source: Path, target: Path) -> Path:
    run(ROOT, "git", "clone", "--quiet", str(source), str(target))
    run(target, "git", "config", "user.name", "test")
    run(target, "git", "config", "user.email", "test@example.com")
    return target


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", message)


def change_params(folder: Path, **changes: Any) -> None:
    """Change knobs in a clone's params.yaml, as a person edits it: change_params(folder, train__epochs=2)."""
    yaml, path = YAML(), folder / "params.yaml"
    params = yaml.load(path)
    set_knobs(params, changes)
    yaml.dump(params, path)


def set_knobs(knobs: dict[str, Any], changes: dict[str, Any]) -> None:
    """Set knobs in nested dictionaries: set_knobs(knobs, {"evaluate__robustness__blur": [1.0]})."""
    for name, value in changes.items():
        *sections, key = name.split("__")
        reduce(getitem, sections, knobs)[key] = value


def moved_clone(source: Path, target: Path) -> Path:
    """A clone with both environments, which were installed at another path."""
    clone(source, target)
    for name in (".venv", ".venv-serving"):
        moved_environment(target, name)
    return target


def moved_environment(folder: Path, name: str) -> None:
    """Give a clone an installed environment as a move leaves it: the first line of its scripts names no Python."""
    source, target = (Path(sys.prefix) if name == ".venv" else ROOT / name), folder / name
    (target / "bin").mkdir(parents=True)
    for part in ("lib", "pyvenv.cfg"):
        (target / part).symlink_to(source / part)
    for path in (source / "bin").iterdir():
        copy = target / "bin" / path.name
        if path.is_symlink():
            copy.symlink_to(path.readlink())
        elif path.is_file() and is_script(path):
            copy.write_bytes(b"#!/moved/away/python\n" + path.read_bytes().partition(b"\n")[2])
            copy.chmod(0o755)
        else:
            copy.symlink_to(path)
    for stamp in ("training", "development", "installed"):
        (target / stamp).touch()


def is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def make(folder: Path, *words: str, check: bool = True, **env: str) -> str:
    """Run make there with umask 077 and without the training environment on the path, and return what it said."""
    path = [each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != Path(sys.executable).parent]
    done = subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=folder, env=os.environ | {"PATH": os.pathsep.join(path)} | env, umask=0o077,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert not check or 0 == done.returncode, done.stdout[-4000:]
    return done.stdout
