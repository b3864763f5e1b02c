"""`python -m workflows.image`: build the container image of HEAD once, and record it as a release of its sources.

How a commit on `main` finds the image that was tested on `dev`: workflows/candidate.py.

| variable          | default                      |                                                       |
|-------------------|------------------------------|-------------------------------------------------------|
| IMAGE_REPOSITORY  | ghcr.io/GITHUB_REPOSITORY    | the repository that images are pushed to              |
| GITHUB_ACTOR      |                              | the user that logs in there, with GITHUB_TOKEN        |
"""

import json
import sys
from pathlib import Path

from workflows import candidate, github
from workflows.commands import head_commit, say, summarise
from workflows.errors import exit_status

RECORD_FILE = Path("image.json")
NOTE = """\
The container image of commit {commit}:

    {reference}

It was built only from these sources, and deployed to the development app. The production app gets the same digest
when the same sources reach `main`. This release's tag only names it: its sources are those of the commit above.
"""


def main() -> None:
    """Build the image if there is none yet, and write its record for people."""
    candidate.log_in()
    commit = head_commit()
    reference = candidate.recorded()
    if reference is None:
        reference = candidate.build(commit)
        note = NOTE.format(commit=commit, reference=reference)
        github.create_release(tag=candidate.tag(), name=f"Image of {commit[:10]}", note=note)
    else:
        say(f"{candidate.tag()} exists already: {reference}")
    RECORD_FILE.write_text(
        json.dumps({"image": reference, "release": candidate.tag(), "commit": commit}, indent=2) + "\n",
        encoding="utf-8",
    )
    summarise(f"Image of {commit[:10]}, release `{candidate.tag()}`:\n\n    {reference}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
