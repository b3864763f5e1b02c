"""The machine that trains: `python -m workflows.runner launch [--since-success-of WORKFLOW]` and `… terminate`.

CML terminates its instance after its job, but not after the role's hour is over, nor if the runner never started. So
the workflow always runs `terminate`, and the instance powers itself off in the end.

| variable           | default      |                                                                    |
|--------------------|--------------|--------------------------------------------------------------------|
| GITHUB_RUN_ID      |              | the tag with which `terminate` finds what `launch` made            |
| GITHUB_RUN_ATTEMPT | 1            | part of the runner's name, which must be new                       |
| AWS_REGION         |              | the region in which the instance runs                              |
| RUNNER_IMAGE       |              | name of its AMI: docs/workflows.md, "The runner's image"           |
| RUNNER_MACHINE     | g4dn.xlarge  | EC2 instance type; one NVIDIA T4                                   |
| RUNNER_DISK_GB     | 64           | its disk; torch and the data take about 20                         |
| REPO_TOKEN         |              | may register runners in this repository; CML reads it              |
| GITHUB_REF_NAME    |              | the branch, for --since-success-of                                 |

--since-success-of also needs the variables of workflows/github.py.
"""

import argparse
import json
import sys
from typing import Any

from workflows import cml, github
from workflows.commands import is_commit, output, run, say, succeeds
from workflows.errors import SettingsError, exit_status, setting
from workflows.pipeline import PIPELINE

LIFE_MINUTES = 300  # longer than the training job's own limit, which should end a slow run first
TAG = "magnetic-tiles-run"
LIVING = "pending,running,stopping,stopped"  # the states of an instance that may still cost money


def main() -> None:
    """Launch or terminate."""
    parser = argparse.ArgumentParser(prog="python -m workflows.runner", description="The machine that trains.")
    commands = parser.add_subparsers(dest="command", required=True)
    launching = commands.add_parser("launch", help="a spot instance on EC2, registered as a runner")
    launching.add_argument(
        "--since-success-of",
        metavar="WORKFLOW",
        help="only if the pipeline's files changed since this workflow last succeeded on the branch",
    )
    commands.add_parser("terminate", help="end every instance and spot request of this run")
    options = parser.parse_args()
    if options.command == "terminate":
        terminate()
    elif options.since_success_of and not pipeline_changed(options.since_success_of):
        output(launched="false")
    else:
        launch()


def pipeline_changed(workflow: str) -> bool:
    """Whether a file of the pipeline changed since the workflow last succeeded on this branch.

    Comparing with the commit before the push would be wrong: its run may have failed, or this run may have replaced it.
    """
    since = github.last_success(workflow, setting("GITHUB_REF_NAME"))
    if since is None or not is_commit(since):
        return True
    if succeeds("git", "diff", "--quiet", since, "HEAD", "--", *PIPELINE):
        say(f"no file of the pipeline changed since {since}: there is nothing to train")
        return False
    return True


def launch() -> None:
    """Launch an instance and pass the label of its runner to later jobs."""
    setting("REPO_TOKEN")  # CML reads it
    run_id = setting("GITHUB_RUN_ID")
    name = f"tiles-{run_id}-{setting('GITHUB_RUN_ATTEMPT', '1')}"
    cml.launch_runner(
        name=name,
        region=setting("AWS_REGION"),
        machine=setting("RUNNER_MACHINE", "g4dn.xlarge"),
        image=setting("RUNNER_IMAGE"),
        disk_gb=gigabytes(setting("RUNNER_DISK_GB", "64")),
        tags={TAG: run_id},
        startup=f"#!/bin/sh\nshutdown --poweroff +{LIFE_MINUTES}\n",
    )
    output(launched="true", label=name)


def gigabytes(text: str) -> int:
    """Read a disk's size.

    Raises: SettingsError.
    """
    if not text.isdecimal():
        raise SettingsError(f"RUNNER_DISK_GB={text} is not a number: give a whole number of gigabytes")
    return int(text)


def terminate() -> None:
    """End what this run launched; usually nothing is left.

    CML tags the spot request when it makes it, but the instance only after the request is fulfilled: so instances are
    found by either.
    """
    tagged = f"Name=tag:{TAG},Values={setting('GITHUB_RUN_ID')}"
    query = "SpotInstanceRequests[].[SpotInstanceRequestId, State]"
    requests: dict[str, str] = {}
    try:
        requests = dict(described("describe-spot-instance-requests", query, tagged))
        if pending := [request for request, state in requests.items() if state in ("open", "active")]:
            run("aws", "ec2", "cancel-spot-instance-requests", "--spot-instance-request-ids", *pending)
    finally:  # only the instances cost money
        if instances := living_instances(tagged, list(requests)):
            run("aws", "ec2", "terminate-instances", "--instance-ids", *instances)
        else:
            say("no instance of this run is left")
    for key in described("describe-key-pairs", "KeyPairs[].KeyName", tagged):  # CML makes one for each launch
        run("aws", "ec2", "delete-key-pair", "--key-name", key)


def living_instances(tagged: str, requests: list[str]) -> list[str]:
    """Return the IDs of the instances that have the tag or fulfil one of the spot requests."""
    filters = [tagged, *([f"Name=spot-instance-request-id,Values={','.join(requests)}"] if requests else [])]
    query, living = "Reservations[].Instances[].InstanceId", f"Name=instance-state-name,Values={LIVING}"
    return sorted({found for each in filters for found in described("describe-instances", query, each, living)})


def described(command: str, query: str, *filters: str) -> list[Any]:
    """Return what a command of EC2 finds, in the form that the query asks for."""
    options = ("--filters", *filters, "--query", query, "--output", "json")
    found: list[Any] = json.loads(run("aws", "ec2", command, *options))
    return found


if __name__ == "__main__":
    sys.exit(exit_status(main))
