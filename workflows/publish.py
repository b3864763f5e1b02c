"""`python -m workflows.publish`: push one commit of the files that git keeps to the branch.

workflows/reproduce.py has pushed the data, so that no commit names data that the remote lacks. The push is never
forced. If the branch has new commits, the results are put on top of them, unless these changed the pipeline: then the
results are dropped.

A push with the workflow's own GITHUB_TOKEN starts no workflow. In addition, the workflows skip a commit with the title
that `title` returns.

| variable        |                                                                         |
|-----------------|-------------------------------------------------------------------------|
| GITHUB_REF_NAME | the branch                                                              |
| GITHUB_RUN_ID   | named in the commit's message; default: by hand                         |
| GITHUB_TOKEN    | may write contents; default: git's own credentials                      |
"""

import base64
import os
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from workflows.commands import head_commit, output, run, say, succeeds
from workflows.errors import CommandError, PublishError, exit_status, setting
from workflows.pipeline import PIPELINE

LOCK_FILE = "dvc.lock"
REMOTE = "origin"
# GitHub's own account for workflows: GitHub shows its commits as the bot's
BOT = {
    "GIT_AUTHOR_NAME": "github-actions[bot]",
    "GIT_AUTHOR_EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
    "GIT_COMMITTER_NAME": "github-actions[bot]",
    "GIT_COMMITTER_EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
}


def main() -> None:
    """Publish, and pass the commit with the results to later jobs."""
    branch = setting("GITHUB_REF_NAME")
    run("git", "add", "--all", "--", LOCK_FILE, *kept_by_git(outputs()))
    if succeeds("git", "diff", "--cached", "--quiet"):
        say("the branch already has these results")
    else:
        run("git", "commit", "--quiet", "--message", title(branch, setting("GITHUB_RUN_ID", "by hand")), **BOT)
        push(branch)
    output(commit=head_commit())


def title(branch: str, run_id: str) -> str:
    """Return the commit's title; the workflows compare its beginning with the branch that they run for."""
    return f"Reproduced on {branch}: run {run_id}"


def outputs() -> list[str]:
    """Return the paths that the stages wrote, as dvc.lock lists them."""
    lock: dict[str, Any] = YAML(typ="safe").load(Path(LOCK_FILE))
    return [out["path"] for stage in lock["stages"].values() for out in stage.get("outs", [])]


def kept_by_git(paths: list[str]) -> list[str]:
    """Leave out the paths that git ignores: they are in DVC's cache."""
    return [path for path in paths if not succeeds("git", "check-ignore", "--quiet", path)]


def push(branch: str) -> None:
    """Push HEAD to the branch, on top of newer commits unless these change the pipeline.

    Raises: PublishError, if they do or the branch may not be written.
    """
    command = ("git", "push", REMOTE, f"HEAD:refs/heads/{branch}")
    problem: object = "it was rejected twice"
    try:
        for _ in range(2):  # somebody may push in between
            run("git", "fetch", "--quiet", REMOTE, branch, **credentials())
            if run("git", "rev-parse", "FETCH_HEAD") != run("git", "rev-parse", "HEAD^"):
                run("git", "diff", "--exit-code", "--stat", "HEAD^", "FETCH_HEAD", "--", *PIPELINE, LOCK_FILE)
                # the results alone: the author may have removed commits below them
                run("git", "rebase", "--quiet", "--onto", "FETCH_HEAD", "HEAD^", **BOT)
            if succeeds(*command, **credentials()):
                return
    except CommandError as error:
        problem = error
    raise PublishError(
        f"the push to {branch} was refused: either a newer push changed the pipeline and trains again, or an earlier "
        f"attempt of this run already published its results (then re-run only the failed jobs), or this token may not "
        f"write to the branch: {problem}"
    )


def credentials() -> dict[str, str]:
    """Return git's configuration for GITHUB_TOKEN as variables, so that it is on no command line and in no file."""
    token = os.environ.get("GITHUB_TOKEN")
    if not token:
        return {}
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{setting('GITHUB_SERVER_URL', 'https://github.com')}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {basic}",
        "GIT_TERMINAL_PROMPT": "0",
    }


if __name__ == "__main__":
    sys.exit(exit_status(main))
