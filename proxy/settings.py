"""What can be set from the environment; `python -m proxy --help` prints this table.

A wrong value is refused when the process starts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Self

from host.environment import (
    ADDRESS,
    PORT_NUMBER,
    Rule,
    matching,
    one_of,
    read_environment,
    seconds,
    variable,
    whole_number,
)
from proxy.errors import SettingsError
from tiles.golden import TOLERANCE

API_KEYS_FILE: Rule[Path | None] = Rule("a file of names and hashes", Path)
NAME = "[A-Za-z0-9_-]{1,63}"
URL = re.compile(rf"(?:{NAME}(?:\.{NAME})*\.?|\[(?P<address>[0-9A-Fa-f:.]+)\]):(?P<port>[0-9]{{1,5}})")
ORIGINS = matching(r"\*|https?://[^\s,/]+(,\s*https?://[^\s,/]+)*", "origins such as https://plant.example, or *")


def _read_url(text: str) -> str:
    found = URL.fullmatch(text)
    if found is None:
        raise ValueError(text)
    PORT_NUMBER.read(found["port"])
    if found["address"]:
        IPv6Address(found["address"])
    return text


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One process's settings."""

    port: int = variable("PORT", 8080, whole_number(0, 65535), "TCP port to listen on; 0 takes any free one")
    host: str = variable("HOST", "127.0.0.1", ADDRESS, "address to listen on; 0.0.0.0 answers the whole network")
    triton_url: str = variable(
        "TRITON_URL",
        "127.0.0.1:8000",
        Rule("host:port without http://", _read_url),
        "host and port of Triton's HTTP interface",
    )
    triton_connections: str = variable(
        "TRITON_CONNECTIONS",
        "kept",
        one_of("kept", "fresh"),
        "kept open, or fresh for each batch, so that a load balancer spreads them over several Tritons",
    )
    model_name: str = variable(
        "MODEL_NAME",
        "segmenter",
        matching(r"[A-Za-z0-9_.-]+", "a name in Triton's model repository"),
        "the model to ask",
    )
    max_upload_bytes: int = variable("MAX_UPLOAD_BYTES", 10 * 2**20, whole_number(1, 2**30), "bytes of one image file")
    # 16 times the largest published image (632 x 403). The proxy needs 4 MB for such an image, but Triton needs many
    # times as much: the network's first feature maps are as large, in float32. The limit protects Triton's memory.
    max_pixels: int = variable(
        "MAX_PIXELS",
        4_194_304,
        whole_number(1024, 2**27),  # Pillow itself refuses images of more than 178,956,970
        "pixels of one image, counted after padding both sides to multiples of 32, and of one batch",
    )
    queue_limit: int = variable(
        "QUEUE_LIMIT",
        64,
        whole_number(1, 100_000),
        "images that may wait for Triton, together with at most 8 times MAX_PIXELS",
    )
    max_wait_s: float = variable(
        "MAX_WAIT_S",
        1.0,
        seconds(0.01, 3600),
        "seconds that the images ahead of a new one may take, at the recent pace; otherwise it is refused at once",
    )
    upload_memory: int = variable(
        "UPLOAD_MEMORY",
        2**28,
        whole_number(2**20, 2**40),
        "bytes of uploads and of tiles' finished answers held at once; as many of answers not yet taken",
    )
    upload_grace_s: float = variable(
        "UPLOAD_GRACE_S",
        5.0,
        seconds(0.01, 3600),
        "seconds in which an upload, or a reader, may be slower than MIN_BYTE_RATE",
    )
    min_byte_rate: int = variable(
        "MIN_BYTE_RATE",
        16_384,
        whole_number(1, 2**30),
        "bytes a second at which a client must send a body and take an answer",
    )
    head_s: float = variable("HEAD_S", 10.0, seconds(0.01, 3600), "seconds that a request's headers may take")
    max_connections: int = variable(
        "MAX_CONNECTIONS",
        1000,
        whole_number(1, 100_000),
        "connections at once; the one that waits longest for its client makes room for a new one",
    )
    address_connections: int = variable(
        "ADDRESS_CONNECTIONS",
        0,
        whole_number(0, 100_000),
        "connections at once from one address; 0 sets no limit, as is right behind a front proxy",
    )
    api_keys_file: Path | None = variable(
        "API_KEYS_FILE",
        None,
        API_KEYS_FILE,
        "hashes of the API keys that POST /analyze asks for; not set: asks for none",
    )
    cors_origins: str = variable(
        "CORS_ORIGINS",
        "",
        ORIGINS,
        "web pages that may use the service, separated by commas; * allows all",
    )
    deadline_s: float = variable(
        "DEADLINE_S", 30.0, seconds(0.01, 3600), "seconds from a request's arrival to its answer"
    )
    triton_timeout_s: float = variable(
        "TRITON_TIMEOUT_S", 20.0, seconds(0.01, 3600), "seconds that Triton may take for one batch"
    )
    in_flight_batches: int = variable(
        "IN_FLIGHT_BATCHES",
        0,
        whole_number(0, 1024),
        "batches in flight at Triton; 0 allows one more than the model has instances",
    )
    decode_threads: int = variable(
        "DECODE_THREADS", 2, whole_number(1, 256), "threads that decode large images and encode their answers"
    )
    check_interval_s: float = variable(
        "CHECK_INTERVAL_S", 1.0, seconds(0.01, 3600), "seconds between two checks of the served model"
    )
    golden_tolerance: int = variable(
        "GOLDEN_TOLERANCE",
        TOLERANCE,
        whole_number(0, 255),
        "grey levels by which the model's answer to the golden image may differ; 255 allows any answer",
    )
    shutdown_grace_s: float = variable(
        "SHUTDOWN_GRACE_S",
        20.0,
        seconds(0, 3600),
        "seconds that requests in flight may take after SIGTERM or SIGINT",
    )
    log_level: str = variable(
        "LOG_LEVEL", "INFO", one_of("DEBUG", "INFO", "WARNING", "ERROR"), "the lowest level that is logged"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read every setting that the environment names.

        Raises: SettingsError, which names the variable, its value and what is allowed.
        """
        return read_environment(cls, environment, SettingsError)
