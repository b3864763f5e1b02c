"""The commit of the sources."""

import subprocess
from pathlib import Path


def git(*arguments: str) -> str:
    """Return what git prints; empty where it fails or is not installed."""
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, encoding="utf-8"
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def extract(commit: str, folder: Path, *paths: str) -> None:
    """Write files and folders of a commit below a folder, those that the commit has."""
    for name in filter(None, git("ls-tree", "-r", "-z", "--name-only", commit, "--", *paths).split("\0")):
        content = subprocess.run(["git", "show", f"{commit}:{name}"], capture_output=True, check=True).stdout
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def describe_commit(*sources: str) -> dict[str, str | bool]:
    """Return HEAD as `commit`, and as `dirty` whether the sources (git's pathspecs) differ from it."""
    head = git("rev-parse", "HEAD") or "unknown"
    return {"commit": head, "dirty": head == "unknown" or bool(git("status", "--porcelain", "--", *sources))}
