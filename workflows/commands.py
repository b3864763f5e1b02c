"""Other programs: git, dvc, docker, skopeo, aws, cml. The log shows what is run, but never a secret."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from host.commit import git
from workflows.errors import CommandError


def run(*words: str, stdin: str | None = None, **env: str) -> str:
    """Run a program and return its standard output; its standard error goes to ours.

    Pass secrets in `stdin` or `env`: they are not logged.

    Raises: CommandError.
    """
    say(f"$ {shlex.join(words)}")
    try:
        done = subprocess.run(
            words, input=stdin, env=os.environ | env, stdout=subprocess.PIPE, text=True, check=False, encoding="utf-8"
        )
    except FileNotFoundError:
        raise CommandError(f"{words[0]} is not installed: install it and run again") from None
    if done.returncode:
        raise CommandError(f"`{shlex.join(words)}` ended with {done.returncode}:\n{done.stdout[-2000:]}".rstrip(":\n"))
    return done.stdout


def dvc(*words: str) -> str:
    """Run DVC of this environment, as `run` does.

    Raises: CommandError.
    """
    return run(sys.executable, "-m", "dvc", *words)


def succeeds(*words: str, **env: str) -> bool:
    """Return True if the program exits with 0, False if with 1. Pass secrets in `env`: it is not logged.

    Raises: CommandError, if it exits with another status.
    """
    done = subprocess.run(words, env=os.environ | env, stdout=subprocess.DEVNULL, check=False)
    if done.returncode not in (0, 1):
        raise CommandError(f"`{shlex.join(words)}` ended with {done.returncode}")
    return done.returncode == 0


def head_commit() -> str:
    """Return HEAD's full commit id.

    Raises: CommandError.
    """
    return run("git", "rev-parse", "HEAD").strip()


def is_commit(name: str) -> bool:
    """Whether this clone has the commit or branch."""
    return bool(git("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}"))


def output(**values: str) -> None:
    """Pass values to later steps and jobs in the file that GITHUB_OUTPUT names; without one, print them."""
    lines = "".join(f"{name.replace('_', '-')}={value}\n" for name, value in values.items())
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(lines)
    else:
        sys.stdout.write(lines)


def summarise(markdown: str) -> None:
    """Show a text on the run's page through the file that GITHUB_STEP_SUMMARY names; without one, print it."""
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{markdown.rstrip()}\n\n")
    else:
        sys.stdout.write(f"{markdown.rstrip()}\n")


def say(text: str) -> None:
    """Write a line to the log."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
