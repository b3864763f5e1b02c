"""The commit of the sources."""

import subprocess


def git(*arguments: str) -> str:
    """Return what git prints; empty where it fails or is not installed."""
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, encoding="utf-8"
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def describe_commit(*sources: str) -> dict[str, str | bool]:
    """Return HEAD as `commit`, and as `dirty` whether the sources (git's pathspecs) differ from it."""
    head = git("rev-parse", "HEAD") or "unknown"
    return {"commit": head, "dirty": head == "unknown" or bool(git("status", "--porcelain", "--", *sources))}
