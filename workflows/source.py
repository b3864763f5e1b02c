"""`python -m workflows.source`: check out the commit to deploy after a push that trained nothing.

It is the branch's tip, which may have the results of an earlier push: this push's own commit may lie before them. But
where a later push has changed the pipeline, it is this push's own, because that one is trained and deployed next.

| variable    |                                             |
|-------------|---------------------------------------------|
| GITHUB_SHA  | the commit that was pushed; HEAD is the tip |
"""

import sys

from workflows.commands import run, say, succeeds
from workflows.errors import exit_status, setting
from workflows.pipeline import PIPELINE


def main() -> None:
    """Check out a commit of this clone."""
    pushed = setting("GITHUB_SHA")
    if succeeds("git", "diff", "--quiet", pushed, "HEAD", "--", *PIPELINE):
        say("HEAD has the pipeline of this push, and the newest results of it")
    else:
        run("git", "checkout", "--detach", pushed)


if __name__ == "__main__":
    sys.exit(exit_status(main))
