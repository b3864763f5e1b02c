"""What can be set, from the environment, checked before anything starts.

| variable            | unit, range        | default                                                |
|---------------------|--------------------|--------------------------------------------------------|
| MODEL_REPOSITORY    | folder             | model_repository                                       |
| TRITON_HOST         | address            | 127.0.0.1; Triton has no log-in, so keep it private    |
| TRITON_HTTP_PORT    | 1–65535            | 8000                                                   |
| TRITON_METRICS_PORT | 1–65535            | 8002                                                   |
| MODEL_INSTANCES     | processes, 1–64    | the usable cores, fewer where memory is short          |
| MODEL_THREADS       | threads each, 1–64 | 1; more where fewer instances than cores are asked for |
| TRITON_START_S      | seconds, 1–3600    | 120, until it must be ready                            |
| TRITON_STOP_S       | seconds, 1–600     | 20, for requests under way to end                      |
| TRITON_LOG_VERBOSE  | 0–9                | 0, warnings and errors; from 1 on all that Triton says |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from host.cores import usable_cores
from inference_server.errors import SettingError
from inference_server.memory import MIB, memory_limit_bytes

DEFAULT_HTTP_PORT, DEFAULT_METRICS_PORT = 8000, 8002
# An instance of our int8 model takes 243 MiB after thousands of the dataset's tiles from eight clients, 273 after an
# image of two megapixels; launcher, tritonserver and proxy together take 160 (docs/performance.md).
INSTANCE_BYTES, BESIDES_BYTES = 256 * MIB, 192 * MIB


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to serve; the table at the top of this file says what each means."""

    model_repository: Path
    host: str
    http_port: int
    metrics_port: int
    cores: int
    instances: int
    threads: int
    start_timeout_s: int
    stop_timeout_s: int
    log_verbose: int

    @property
    def http_address(self) -> str:
        """Return host:port of Triton's HTTP interface."""
        return f"{self.host}:{self.http_port}"

    @property
    def description(self) -> str:
        """Say what is served and how the machine's cores are shared out."""
        shared_out = f"instances: {self.instances}, threads each: {self.threads}, usable cores: {self.cores}"
        return f"{self.model_repository} ({shared_out})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read and check all variables.

        Two single-threaded instances served 17.5 images/s where one with two threads served 14.6, hence one
        instance a core.

        Raises: SettingError, which names the variable.
        """
        cores = usable_cores()
        bearable = (memory_limit_bytes() - BESIDES_BYTES) // INSTANCE_BYTES
        instances = whole_number(environment, "MODEL_INSTANCES", max(1, min(cores, bearable, 64)), 1, 64)
        settings = cls(
            model_repository=Path(environment.get("MODEL_REPOSITORY") or "model_repository"),
            host=environment.get("TRITON_HOST") or "127.0.0.1",
            http_port=whole_number(environment, "TRITON_HTTP_PORT", DEFAULT_HTTP_PORT, 1, 65535),
            metrics_port=whole_number(environment, "TRITON_METRICS_PORT", DEFAULT_METRICS_PORT, 1, 65535),
            cores=cores,
            instances=instances,
            threads=whole_number(environment, "MODEL_THREADS", max(1, cores // instances), 1, 64),
            start_timeout_s=whole_number(environment, "TRITON_START_S", 120, 1, 3600),
            stop_timeout_s=whole_number(environment, "TRITON_STOP_S", 20, 1, 600),
            log_verbose=whole_number(environment, "TRITON_LOG_VERBOSE", 0, 0, 9),
        )
        if settings.http_port == settings.metrics_port:
            raise SettingError(f"TRITON_HTTP_PORT and TRITON_METRICS_PORT are both {settings.http_port}: change one")
        return settings


def whole_number(environment: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    """Read one variable; an empty one counts as not set.

    Raises: SettingError, which names it.
    """
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
        raise SettingError(f"{name} is {text!r}, but must be a whole number from {lowest} to {highest}")
    return int(text)
