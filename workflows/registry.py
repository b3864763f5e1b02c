"""Container registries, through skopeo: it copies an image from one to another with its digest unchanged.

Source: skopeo-copy(1), skopeo-inspect(1), skopeo-login(1)
"""

import json
import tempfile
from pathlib import Path

from workflows.commands import run


def log_in(registry: str, user: str, password: str) -> None:
    """Log in to a registry for the commands that follow."""
    run("skopeo", "login", "--username", user, "--password-stdin", registry, stdin=password)


def push(archive: Path, target: str) -> str:
    """Push a file that `docker save` wrote, and return the digest that the registry reports.

    The format is Docker's own, schema 2: Heroku's registry accepts no other.
    """
    with tempfile.TemporaryDirectory() as folder:
        digest = Path(folder) / "digest"
        run(
            "skopeo",
            "copy",
            "--format=v2s2",
            f"--digestfile={digest}",
            f"docker-archive:{archive}",
            f"docker://{target}",
        )
        return digest.read_text(encoding="utf-8").strip()


def copy(source: str, target: str) -> None:
    """Copy an image between registries; fail if the digest would change."""
    run("skopeo", "copy", "--preserve-digests", f"docker://{source}", f"docker://{target}")


def fetch(source: str, archive: Path, name: str) -> None:
    """Write an image to a file for `docker load`, which gives it this name."""
    run("skopeo", "copy", f"docker://{source}", f"docker-archive:{archive}:{name}")


def image_id(reference: str) -> str:
    """Return the digest of an image's configuration, which Docker and Heroku call its ID."""
    found: str = json.loads(run("skopeo", "inspect", "--raw", f"docker://{reference}"))["config"]["digest"]
    return found
