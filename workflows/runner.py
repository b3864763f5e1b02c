"""The machine that trains: `python -m workflows.runner launch [--since-success-of WORKFLOW]` and `… terminate`.

CML takes its instance down after its job. It can't once the role's hour is over, or when it never came up: so the
workflow always runs `terminate`, and the instance powers itself off in the end whatever happens.

| variable          | default      |                                                                    |
|-------------------|--------------|--------------------------------------------------------------------|
| GITHUB_RUN_ID     |              | what the instance is tagged with, and found by                     |
| AWS_REGION        |              | where it runs                                                      |
| RUNNER_MACHINE    | g4dn.xlarge  | EC2 instance type; one NVIDIA T4                                   |
| RUNNER_DISK_GB    | 64           | of its disk: torch and the data take some 20                       |
| REPO_TOKEN        |              | may register runners in this repository                            |
| GITHUB_REF_NAME   |              | the branch, for --since-success-of                                 |

Those of workflows/github.py come on top for --since-success-of.
"""

import argparse
import json
import sys

from workflows import cml, github
from workflows.commands import output, run, say, succeeds
from workflows.errors import SettingsError, exit_status, setting

LIFE_MINUTES = 300  # above the training job's own limit, which is the one that should end a slow run
TAG = "magnetic-tiles-run"
# What `dvc repro` starts from; dvc.lock is what it writes.
PIPELINE = ("dvc.yaml", "params.yaml", "requirements/training.txt", "tiles", "training")
LIVING = "pending,running,stopping,stopped"  # the states of an instance that may still cost


def main() -> None:
    """Launch or terminate."""
    parser = argparse.ArgumentParser(prog="python -m workflows.runner", description="The machine that trains.")
    commands = parser.add_subparsers(dest="command", required=True)
    launching = commands.add_parser("launch", help="a spot instance on EC2, registered as a runner")
    launching.add_argument(
        "--since-success-of",
        metavar="WORKFLOW",
        help="only if the pipeline's own files changed since this workflow last ended well on the branch",
    )
    commands.add_parser("terminate", help="every instance of this run")
    options = parser.parse_args()
    if options.command == "terminate":
        terminate()
    elif options.since_success_of and not pipeline_changed(options.since_success_of):
        output(launched="false")
    else:
        launch()


def pipeline_changed(workflow: str) -> bool:
    """Whether `dvc repro` starts from something else than when the workflow last ended well on this branch.

    Not the commit before the push: its run may have failed, or have been dropped for this one's while it waited.
    """
    since = github.last_success(workflow, setting("GITHUB_REF_NAME"))
    if since is None or not succeeds("git", "rev-parse", "--quiet", "--verify", f"{since}^{{commit}}"):
        return True
    if succeeds("git", "diff", "--quiet", since, "HEAD", "--", *PIPELINE):
        say(f"nothing of the pipeline changed since {since}: there is nothing to train")
        return False
    return True


def launch() -> None:
    """Launch an instance and tell later jobs the label of its runner."""
    run_id = setting("GITHUB_RUN_ID")
    name = f"tiles-{run_id}-{setting('GITHUB_RUN_ATTEMPT', '1')}"
    cml.launch_runner(
        name=name,
        region=setting("AWS_REGION"),
        machine=setting("RUNNER_MACHINE", "g4dn.xlarge"),
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
        raise SettingsError(f"RUNNER_DISK_GB={text}: give a whole number of gigabytes")
    return int(text)


def terminate() -> None:
    """Terminate what this run launched; none left is what one hopes for."""
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
    finally:  # the instances are what costs
        run("aws", "ec2", "terminate-instances", "--instance-ids", *(instance for instance, _, _ in instances))
    for key in {key for _, _, key in instances if key}:  # CML makes one for each launch
        run("aws", "ec2", "delete-key-pair", "--key-name", key)


if __name__ == "__main__":
    sys.exit(exit_status(main))
