"""What can be set from the environment, checked before anything starts.

`python -m inference_server --help` prints this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from host.addresses import printed, reachable
from host.cores import usable_cores
from host.environment import ADDRESS, FOLDER, PORT_NUMBER, read_environment, variable, whole_number
from host.memory import MIB, memory_limit_bytes, shared_memory_bytes
from inference_server.errors import SettingError

# An instance of our int8 model takes 243 MiB after thousands of the dataset's images from eight clients, and 273 MiB
# after an image of two megapixels; launcher, tritonserver and proxy together take 160 (docs/performance.md).
INSTANCE_BYTES, BESIDES_BYTES = 256 * MIB, 192 * MIB
SHARED_BYTES = 32 * MIB  # of shared memory that an instance takes for a batch of MAX_PIXELS, and one that waits
MOST_INSTANCES = 64


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to serve."""

    model_repository: Path = variable(
        "MODEL_REPOSITORY", Path("model_repository"), FOLDER, "folder of the models to serve"
    )
    host: str = variable(
        "TRITON_HOST", "127.0.0.1", ADDRESS, "address to listen on; Triton has no log-in, so keep it private"
    )
    http_port: int = variable("TRITON_HTTP_PORT", 8000, PORT_NUMBER, "TCP port of Triton's HTTP interface")
    metrics_port: int = variable("TRITON_METRICS_PORT", 8002, PORT_NUMBER, "TCP port of Triton's metrics")
    model_instances: int = variable(
        "MODEL_INSTANCES",
        0,
        whole_number(0, MOST_INSTANCES),
        "instances of the model, each a process; 0 starts as many as cores and memory allow",
    )
    model_threads: int = variable(
        "MODEL_THREADS",
        0,
        whole_number(0, 64),
        "threads of each instance while others compute; 0 shares the cores out among the instances",
    )
    start_timeout_s: int = variable("TRITON_START_S", 120, whole_number(1, 3600), "seconds until it must be ready")
    stop_timeout_s: int = variable(
        "TRITON_STOP_S", 20, whole_number(1, 600), "seconds that requests in flight may take after a stop signal"
    )
    stall_s: int = variable(
        "TRITON_STALL_S",
        60,
        whole_number(5, 3600),
        "seconds without an answer after which even a Triton that computes counts as stalled and is replaced",
    )
    restarts: int = variable(
        "RESTARTS",
        10,
        whole_number(0, 1000),
        "restarts in a row before it gives up; ten seconds of service reset the count",
    )
    log_verbose: int = variable(
        "TRITON_LOG_VERBOSE", 0, whole_number(0, 9), "0 logs warnings and errors; 1 and more log what Triton does"
    )

    @property
    def instances(self) -> int:
        """Return how many instances to start.

        There is one instance a core: two single-threaded instances served 17.5 images/s where one instance with two
        threads served 14.6. There are fewer where memory or shared memory is short.
        """
        in_shared_memory = shared_memory_bytes() // SHARED_BYTES
        return self.model_instances or max(1, min(self.instances_in_memory, in_shared_memory))

    @property
    def instances_in_memory(self) -> int:
        """Return how many instances cores and memory allow, if there is shared memory for all of them."""
        fitting = (memory_limit_bytes() - BESIDES_BYTES) // INSTANCE_BYTES
        return max(1, min(usable_cores(), fitting, MOST_INSTANCES))

    @property
    def threads(self) -> int:
        """Return how many threads each instance has: more than one where there are fewer instances than cores."""
        return self.model_threads or max(1, usable_cores() // self.instances)

    @property
    def http_address(self) -> str:
        """Return host:port where a program on this machine reaches Triton's HTTP interface."""
        return printed(reachable(self.host), self.http_port)

    @property
    def metrics_address(self) -> str:
        """Return host:port where a program on this machine reaches Triton's metrics."""
        return printed(reachable(self.host), self.metrics_port)

    @property
    def description(self) -> str:
        """Return what is served and how the machine's cores are shared out."""
        shares = f"instances: {self.instances}, threads each: {self.threads}, usable cores: {usable_cores()}"
        return f"{self.model_repository} ({shares})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read and check all variables.

        Raises: SettingError, which names the variable.
        """
        settings = read_environment(cls, environment, SettingError)
        if settings.http_port == settings.metrics_port:
            raise SettingError(f"TRITON_HTTP_PORT and TRITON_METRICS_PORT are both {settings.http_port}: change one")
        return settings
