"""What can be set from the environment: one variable a setting, named as its attribute in capitals.

A wrong value is refused when the process starts; `python -m proxy --help` prints this table.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Self, TypeVar

from proxy.errors import SettingsError

T = TypeVar("T")


def _setting(default: T, read: Callable[[str], T], meaning: str) -> T:
    return field(default=default, metadata={"read": read, "meaning": meaning})


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,12}", text) and low <= int(text) <= high:
            return int(text)
        raise ValueError(f"a whole number from {low} to {high}")

    return read


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if low <= value <= high:  # false for nan
            return value
        raise ValueError(f"a number of seconds from {low:g} to {high:g}")

    return read


def _matching(pattern: str, wanted: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if re.fullmatch(pattern, text):
            return text
        raise ValueError(wanted)

    return read


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One process's settings; each `_setting` gives default, rule and meaning."""

    port: int = _setting(8080, _whole(0, 65535), "TCP port to listen on; 0 takes any free one")
    host: str = _setting(
        "127.0.0.1",
        _matching(r"\S+", "an address of this machine, such as 127.0.0.1 or 0.0.0.0"),
        "address to listen on; 0.0.0.0 answers the whole network",
    )
    proxy_workers: int = _setting(
        1,
        _whole(1, 64),
        "processes that share the port; one fills about one core. Limits and threads are each one's own",
    )
    triton_url: str = _setting(
        "127.0.0.1:8000",
        _matching(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}", "host:port without http://"),
        "host:port of Triton's HTTP endpoint",
    )
    triton_connections: str = _setting(
        "kept",
        _matching("kept|fresh", "kept or fresh"),
        "kept open, or fresh for each batch, so that a balancer of connections spreads them over several Tritons",
    )
    model_name: str = _setting(
        "segmenter", _matching(r"[A-Za-z0-9_.-]+", "a name in Triton's model repository"), "the model to ask"
    )
    max_upload_bytes: int = _setting(10 * 2**20, _whole(1, 2**30), "bytes of one image file")
    # 16 times the largest published tile (632 x 403). Such a tile is 4 MB for us, but each full-size feature map of the
    # network is a multiple of that in float32: the limit guards Triton's memory more than ours.
    max_pixels: int = _setting(
        4_194_304,
        _whole(1024, 2**27),  # Pillow itself takes no more than 178,956,970
        "pixels of one image, counted after padding both sides to multiples of 32, and of one batch",
    )
    queue_limit: int = _setting(
        64,
        _whole(1, 100_000),
        "uploads that may be read and decoded at once, and tiles that may wait for Triton, at most 8 times MAX_PIXELS",
    )
    deadline_s: float = _setting(30.0, _seconds(0.01, 3600), "seconds from a request's arrival to its answer")
    triton_timeout_s: float = _setting(20.0, _seconds(0.01, 3600), "seconds that Triton may take for one batch")
    in_flight_batches: int = _setting(
        0, _whole(0, 1024), "batches in flight at Triton; 0 takes one more than the model has instances"
    )
    decode_threads: int = _setting(2, _whole(1, 256), "threads that decode images and encode answers, large ones only")
    check_interval_s: float = _setting(5.0, _seconds(0.01, 3600), "seconds between two looks at the served model")
    shutdown_grace_s: float = _setting(20.0, _seconds(0, 3600), "seconds for what is in flight after SIGTERM or SIGINT")
    log_level: str = _setting(
        "INFO",
        _matching("DEBUG|INFO|WARNING|ERROR", "one of DEBUG, INFO, WARNING, ERROR"),
        "the least level that is logged",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read every setting that the environment names.

        Raises: SettingsError naming the variable, what it has and what it wants.
        """
        values = {}
        for setting in fields(cls):
            variable = setting.name.upper()
            if variable in environment:
                try:
                    values[setting.name] = setting.metadata["read"](environment[variable])
                except ValueError as error:
                    raise SettingsError(f"{variable} is {environment[variable]!r}: give {error}") from None
        return cls(**values)


def describe_settings() -> str:
    """Return one line a setting: variable, default and meaning with its unit."""
    return "\n".join(
        f"  {setting.name.upper():<20}{setting.default!s:<16}{setting.metadata['meaning']}"
        for setting in fields(Settings)
    )
