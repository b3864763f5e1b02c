"""GitHub: releases, which record the digest of each built image, and runs of workflows.

Source: GitHub's REST API, https://docs.github.com/en/rest/releases/releases and …/rest/actions/workflow-runs

| variable                           | default                 |                                                    |
|------------------------------------|-------------------------|----------------------------------------------------|
| GITHUB_TOKEN                       |                         | reads contents or actions; writes contents to      |
|                                    |                         | create a release                                   |
| GITHUB_REPOSITORY                  |                         | owner/name                                         |
| GITHUB_API_URL                     | https://api.github.com  |                                                    |
"""

import json
import urllib.parse
from typing import Any

from workflows.errors import setting
from workflows.service import NotFoundError, call


def find_release(tag: str) -> dict[str, Any] | None:
    """Return the release of a tag, None if there is none."""
    try:
        found: dict[str, Any] = json.loads(_call("GET", f"releases/tags/{urllib.parse.quote(tag)}"))
    except NotFoundError:
        return None
    return found


def create_release(*, tag: str, name: str, note: str) -> None:
    """Write a release note, as a prerelease: GitHub never shows those as the latest version.

    GitHub puts the tag on the default branch. A job's token may not put it on a commit that changes a workflow:
    https://github.com/cli/cli/issues/9514
    """
    _call("POST", "releases", {"tag_name": tag, "name": name, "body": note, "prerelease": True})


def last_success(workflow: str, branch: str) -> str | None:
    """Return the commit of the last push to a branch for which a workflow succeeded, None if there is none."""
    query = urllib.parse.urlencode({"branch": branch, "event": "push", "status": "success", "per_page": 1})
    runs = json.loads(_call("GET", f"actions/workflows/{workflow}/runs?{query}"))["workflow_runs"]
    return str(runs[0]["head_sha"]) if runs else None


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    address = f"{setting('GITHUB_API_URL', 'https://api.github.com')}/repos/{setting('GITHUB_REPOSITORY')}/{path}"
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {setting('GITHUB_TOKEN')}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    return call(method, address, headers, body)
