"""The machine that trains: `python -m workflows.runner launch [--since-success-of WORKFLOW]` and `… terminate`.

CML terminates its instance after its job, but not after the role's hour is over, nor if the runner never started. So
the workflow always runs `terminate`, and the instance powers itself off in the end.

| variable          | default      |                                                                    |
|-------------------|--------------|--------------------------------------------------------------------|
| GITHUB_RUN_ID     |              | the instance's tag, with which `terminate` finds it                |
| AWS_REGION        |              | the region in which the instance runs                              |
| RUNNER_IMAGE      |              | name of its AMI: docs/workflows.md, "The runner's image"           |
| RUNNER_MACHINE    | g4dn.xlarge  | EC2 instance type; one NVIDIA T4                                   |
| RUNNER_DISK_GB    | 64           | its disk; torch and the data take about 20                         |
| REPO_TOKEN        |              | may register runners in this repository                            |
| GITHUB_REF_NAME   |              | the branch, for --since-success-of                                 |

--since-success-of also needs the variables of workflows/github.py.
"""

import argparse
import json
import sys

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
    commands.add_parser("terminate", help="end every instance of this run")
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
    """Terminate the instances that this run launched; usually none is left."""
    filters = [f"Name=tag:{TAG},Values={setting('GITHUB_RUN_ID')}", f"Name=instance-state-name,Values={LIVING}"]
    query = "Reservations[].Instances[].[InstanceId, SpotInstanceRequestId, KeyName]"
    found = run("aws", "ec2", "describe-instances", "--filters", *filters, "--query", query, "--output", "json")
    instances = json.loads(found)
    if not instances:
        say("no instance of this run is left")
        return
    try:
        if requests := [request for _, request, _ in instances if request]:
            run("aws", "ec2", "cancel-spot-instance-requests", "--spot-instance-request-ids", *requests)
    finally:  # only the instances cost money
        run("aws", "ec2", "terminate-instances", "--instance-ids", *(instance for instance, _, _ in instances))
    for key in {key for _, _, key in instances if key}:  # CML makes one for each launch
        run("aws", "ec2", "delete-key-pair", "--key-name", key)


if __name__ == "__main__":
    sys.exit(exit_status(main))
