"""CML: a runner on EC2, a comment on a pull request.

Source: its command reference, https://cml.dev/doc/ref/runner and https://cml.dev/doc/ref/comment
"""

import base64
import shutil

from workflows.commands import run

IDLE_S = 600  # after so long without a job, the runner ends itself


def launch_runner(
    *, name: str, region: str, machine: str, image: str, disk_gb: int, tags: dict[str, str], startup: str
) -> None:
    """Launch a spot instance that registers as a runner labelled with its name, and ends after one job.

    image: the name of an AMI. CML passes it on, but its command reference does not list the option:
    https://github.com/iterative/cml/pull/1302
    REPO_TOKEN must be a token that may register runners, and the environment must have AWS's credentials. If AWS takes
    the instance back, CML asks GitHub to run the workflow again. A token that may only register runners cannot do that:
    a person decides whether the run is worth its price.
    """
    run(
        "cml",
        "runner",
        "launch",
        f"--name={name}",
        f"--labels={name}",
        "--single",
        f"--idle-timeout={IDLE_S}",
        "--cloud=aws",
        f"--cloud-region={region}",
        f"--cloud-type={machine}",
        f"--cloud-image={image}",
        f"--cloud-hdd-size={disk_gb}",
        "--cloud-spot",
        f"--cloud-startup-script={base64.b64encode(startup.encode()).decode()}",
        *(f"--cloud-metadata={key}={value}" for key, value in tags.items()),
    )


def comment(file: str) -> bool:
    """Post a file on the pull request of the pushed commit, else on that commit; return False if CML is not installed.

    Its pictures are links into the repository: nothing is uploaded to CML's server.
    """
    if shutil.which("cml") is None:
        return False
    run("cml", "comment", "create", "--publish=false", file)
    return True
