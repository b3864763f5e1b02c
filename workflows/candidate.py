"""The container image of HEAD's sources: built once, pushed, and recorded as a release that names it.

The release is named after a digest over the paths that the Dockerfile copies (`image-…`), and its note contains the
image's own digest. It is written when the image has passed on `dev`. So a commit that reaches `main`, with any kind of
merge, finds the image that was tested on `dev`, or none: nothing is built or trained again.

workflows/image.py lists the variables.
"""

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from workflows import github, registry
from workflows.commands import head_commit, run, say
from workflows.errors import ImageError, setting

SOURCES = (  # what the Dockerfile copies, and the Dockerfile itself
    ".dockerignore",
    "Dockerfile",
    "deploy/slim.sh",
    "host",
    "inference_server",
    "launch",
    "model_repository",
    "proxy",
    "requirements/inference_server.txt",
    "requirements/proxy.txt",
    "tiles",
)
NAME = "magnetic-tiles:candidate"  # on the machine that builds or tests it
REFERENCE = re.compile(r"[\w.:/-]+@sha256:[0-9a-f]{64}")
BUILT_FILE = Path("image.json")  # what workflows.image built, for workflows.deploy and for people
NOTE = """\
The container image of commit {commit}:

    {reference}

It was built only from these sources, and passed the smoke test in the development app. The production app gets the same
digest when the same sources reach `main`. This release's tag only names it: its sources are those of the commit above.
"""


def log_in() -> None:
    """Log in to the registry that has the images."""
    registry.log_in(repository().split("/")[0], setting("GITHUB_ACTOR"), setting("GITHUB_TOKEN"))


def repository() -> str:
    """Return the address to which images are pushed; registries accept only lower case."""
    return setting("IMAGE_REPOSITORY", f"ghcr.io/{setting('GITHUB_REPOSITORY')}").lower()


def tag() -> str:
    """Return the release tag of the image of HEAD's sources, made from a digest over their paths and contents."""
    return f"image-{hashlib.sha256(run('git', 'ls-tree', 'HEAD', '--', *SOURCES).encode()).hexdigest()[:12]}"


def recorded() -> str | None:
    """Return name@digest of the image of HEAD's sources, None if none has passed on dev.

    Raises: ImageError, if its release does not name it.
    """
    release = github.find_release(tag())
    if release is None:
        return None
    if found := REFERENCE.search(release["body"] or ""):
        return found.group()
    raise ImageError(
        f"the note of release {tag()} has no name@sha256:…: delete the release and its tag, and build again"
    )


def promoted() -> str:
    """Return the image of HEAD's sources.

    Raises: ImageError, if none passed on dev.
    """
    if reference := recorded():
        return reference
    raise ImageError(
        f"there is no release {tag()}: no image of these sources was tested on dev. Wait for dev's workflow and run "
        f"this one again, or merge dev: main must have the same content as dev in {', '.join(SOURCES)}"
    )


def just_built() -> str:
    """Return the image that workflows.image built, or found, for HEAD's sources.

    Raises: ImageError, if there is none.
    """
    built = json.loads(BUILT_FILE.read_text(encoding="utf-8")) if BUILT_FILE.is_file() else {}
    if built.get("release") == tag():
        return str(built["image"])
    raise ImageError(f"{BUILT_FILE} names no image of these sources: run `python -m workflows.image` first")


def record(reference: str) -> None:
    """Write the release that names the image of HEAD's sources, unless there is one."""
    if recorded() is None:
        commit = head_commit()
        note = NOTE.format(commit=commit, reference=reference)
        github.create_release(tag=tag(), name=f"Image of {commit[:10]}", note=note)


def build(commit: str) -> str:
    """Build and push the image, labelled with its commit, and return name@digest.

    Raises: ImageError, if a source differs from HEAD.
    """
    if changed := run("git", "status", "--porcelain", "--", *SOURCES):
        raise ImageError(f"commit these sources first; an image is built only from committed sources:\n{changed}")
    address = f"{setting('GITHUB_SERVER_URL', 'https://github.com')}/{setting('GITHUB_REPOSITORY')}"
    run("docker", "build", f"--build-arg=REVISION={commit}", f"--build-arg=SOURCE={address}", "--tag", NAME, ".")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        run("docker", "save", "--output", str(archive), NAME)
        return f"{repository()}@{registry.push(archive, f'{repository()}:{tag()}')}"


@contextlib.contextmanager
def running(reference: str) -> Iterator[str]:
    """Run an image on this machine until the end of the `with` block; yield its address."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        registry.fetch(reference, archive, NAME)
        run("docker", "load", "--input", str(archive))
    publish = ("--publish", "127.0.0.1::8080", "--shm-size", "256m")  # as compose.yaml has them
    container = run("docker", "run", "--detach", *publish, NAME).strip()
    try:
        yield f"http://{run('docker', 'port', container, '8080').split()[0]}"
    finally:
        say(run("docker", "logs", "--tail", "50", container))
        run("docker", "rm", "--force", container)
