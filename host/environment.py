"""Environment variables, each declared once with its name, default, rule and meaning; read and checked together.

The variables of a program are the fields of a frozen dataclass:

    port: int = variable("PORT", 8080, whole_number(1, 65535), "TCP port to listen on")
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

NEAR = 0.86  # difflib's ratio: one letter too many, missing or wrong in a name of eight
T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True)
class Rule(Generic[T]):
    """Which texts are allowed, in words, and how they are read; `read` raises ValueError for any other text."""

    allowed: str
    read: Callable[[str], T]


class Row(NamedTuple):
    """One variable as a person reads it."""

    name: str
    default: str
    allowed: str
    meaning: str


def variable(name: str, default: T, rule: Rule[T], meaning: str) -> T:
    """Return a dataclass field that is read from an environment variable."""
    return field(default=default, metadata={"name": name, "rule": rule, "meaning": meaning})


def whole_number(low: int, high: int) -> Rule[int]:
    """Allow the whole numbers from `low` to `high`, in ASCII digits."""

    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,12}", text) and low <= int(text) <= high:
            return int(text)
        raise ValueError(text)

    return Rule(f"a whole number from {low} to {high}", read)


def seconds(low: float, high: float) -> Rule[float]:
    """Allow the numbers of seconds from `low` to `high`."""

    def read(text: str) -> float:
        value = float(text)
        if low <= value <= high and math.isfinite(value):
            return value
        raise ValueError(text)

    return Rule(f"a number of seconds from {low:g} to {high:g}", read)


def matching(pattern: str, allowed: str) -> Rule[str]:
    """Allow the texts that match a regular expression as a whole; `allowed` describes them."""

    def read(text: str) -> str:
        if re.fullmatch(pattern, text):
            return text
        raise ValueError(text)

    return Rule(allowed, read)


def one_of(*words: str) -> Rule[str]:
    """Allow these words."""
    return matching("|".join(map(re.escape, words)), f"one of {', '.join(words)}")


ADDRESS = matching(r"\S+", "an address or a name of this machine, such as 127.0.0.1, 0.0.0.0 or ::1")
PORT_NUMBER = whole_number(1, 65535)
FOLDER: Rule[Path] = Rule("a folder", Path)


def read_environment(settings: type[S], environment: Mapping[str, str], error: Callable[[str], Exception]) -> S:
    """Read every variable of a settings class; an empty one counts as not set.

    Raises: `error` with a message that names the variable, its value and what is allowed.
    """
    values: dict[str, Any] = {}
    for each in fields(settings):  # type: ignore[arg-type]  # a dataclass, which no type says
        name, rule = each.metadata["name"], each.metadata["rule"]
        if text := environment.get(name):
            try:
                values[each.name] = rule.read(text)
            except ValueError:
                raise error(f"{name} is {text!r}: give {rule.allowed}") from None
    return settings(**values)


def near_misses(environment: Mapping[str, str], *settings: type) -> list[str]:
    """Return a warning for each variable that nobody reads and whose name is almost that of one of these settings."""
    known = [row.name for each in settings for row in rows(each)]
    return [
        f"{name} is not read by anything here: did you mean {nearest[0]}?"
        for name in sorted(environment.keys() - set(known))
        if (nearest := difflib.get_close_matches(name, known, n=1, cutoff=NEAR))
    ]


def rows(settings: type) -> list[Row]:
    """Return one row for each variable of a settings class, in their order."""
    return [
        Row(each.metadata["name"], _shown(each.default), each.metadata["rule"].allowed, each.metadata["meaning"])
        for each in fields(settings)
    ]


def _shown(default: object) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


def help_text(settings: type) -> str:
    """Return the variables as lines for a terminal."""
    return "\n".join(f"  {row.name:<21}{row.default:<18}{row.meaning} ({row.allowed})" for row in rows(settings))
