"""`python -m workflows.image`: build the container image of HEAD's sources, unless one has passed on dev.

image.json names it. How a commit on `main` finds the image that was tested on `dev`: workflows/candidate.py.

| variable          | default                      |                                                       |
|-------------------|------------------------------|-------------------------------------------------------|
| IMAGE_REPOSITORY  | ghcr.io/GITHUB_REPOSITORY    | the repository that images are pushed to              |
| GITHUB_ACTOR      |                              | the user that logs in there, with GITHUB_TOKEN        |
"""

import json
import sys

from workflows import candidate
from workflows.commands import head_commit, say, summarise
from workflows.errors import exit_status


def main() -> None:
    """Build the image if there is none yet, and name it for later steps and for people."""
    candidate.log_in()
    commit = head_commit()
    reference, release = candidate.recorded(), "release"
    if reference is None:
        reference, release = candidate.build(commit), "when it passes on dev, release"
    else:
        say(f"{candidate.tag()} exists already: {reference}")
    candidate.BUILT_FILE.write_text(
        json.dumps({"image": reference, "release": candidate.tag(), "commit": commit}, indent=2) + "\n",
        encoding="utf-8",
    )
    summarise(f"Image of {commit[:10]}, {release} `{candidate.tag()}`:\n\n    {reference}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
