"""The control groups that limit this process, its own first, up to the root.

Source: Linux `cgroups(7)`.
"""

from collections.abc import Iterator
from pathlib import Path

OF_THIS_PROCESS = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def control_groups(controller: str, of_process: Path = OF_THIS_PROCESS, mount: Path = MOUNT) -> Iterator[Path]:
    """Yield the folders that may limit this process; nothing where the system has no control groups.

    `of_process` has the format of /proc/self/cgroup. In a container the listed path may be the host's and not exist:
    the mounted root is then the container's own.
    """
    if not of_process.exists():
        return
    for line in of_process.read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = mount / controllers  # version 2 has no controllers in this file and one tree at the mount itself
        group = root / path.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))
