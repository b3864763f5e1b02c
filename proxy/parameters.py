"""What a request asks for in its query: each parameter once, by its name, with a value that is allowed."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from multidict import MultiMapping

from proxy.analysis import PointOverride
from proxy.answers import JSON, PNG
from proxy.errors import WrongParameterError
from proxy.mask_formats import MASKS
from proxy.views import VIEWS

PART_CHARACTERS = 128
REPLACED = "\N{REPLACEMENT CHARACTER}"  # stands for bytes that are no text
NUMBER = re.compile(r"[0-9.eE-]{1,32}")  # of what Python's float reads: no nan, no blanks, no underscores


class Rule(NamedTuple):
    """Reads one parameter: `read` returns None for a value that is not allowed."""

    read: Callable[[str], Any]
    allowed: str


def number(text: str) -> float | None:
    """Read a number from 0 to 1."""
    try:
        value = float(text) if NUMBER.fullmatch(text) else math.nan
    except ValueError:
        return None
    return abs(value) if 0 <= value <= 1 else None  # abs: -0 is 0


def printable(text: str) -> str | None:
    """Read the name of a part."""
    allowed = 0 < len(text) <= PART_CHARACTERS and text.isprintable() and REPLACED not in text
    return text if allowed else None


def _one_of(names: Mapping[str, object]) -> Rule:
    return Rule(lambda text: text if text in names else None, " or ".join(names))


SCORE = Rule(number, "a number from 0 to 1")
PART = Rule(printable, f"1 to {PART_CHARACTERS} printable characters")
JUDGEMENT = {"threshold": SCORE, "alarm_score": SCORE, "part": PART}
IMAGE_RULES: Mapping[str, Mapping[str, Rule]] = {  # by the answer's media type
    JSON: {"mask": _one_of(MASKS), **JUDGEMENT},
    PNG: {"view": _one_of(VIEWS), **JUDGEMENT},
}
TILE_RULES: Mapping[str, Rule] = {"mask": _one_of(MASKS), "tile_alarm_score": SCORE, **JUDGEMENT}


class Parameters(NamedTuple):
    """A request's parameters, None where the default is wanted."""

    mask: str = next(iter(MASKS))
    view: str = next(iter(VIEWS))
    threshold: float | None = None
    alarm_score: float | None = None
    tile_alarm_score: float | None = None
    part: str | None = None

    @property
    def override(self) -> PointOverride:
        """What the request changes of the model's operating point."""
        return PointOverride(self.threshold, self.alarm_score)


def read_parameters(query: MultiMapping[str], rules: Mapping[str, Rule]) -> Parameters:
    """Read a query.

    Raises: WrongParameterError, which lists what is allowed.
    """
    found: dict[str, Any] = {}
    for name, text in query.items():
        if name not in rules:
            hint = "; it needs the header Accept: image/png" if rules is IMAGE_RULES[JSON] and name == "view" else ""
            raise WrongParameterError(f"there is no parameter {name!r:.80} here: use {', '.join(rules)}{hint}")
        if name in found:
            raise WrongParameterError(f"the parameter {name!r} is given twice: give it once")
        found[name] = read_parameter(name, text, rules[name])
    return Parameters(**found)


def read_parameter(name: str, text: str, rule: Rule) -> Any:
    """Read one value.

    Raises: WrongParameterError.
    """
    value = rule.read(text)
    if value is None:
        raise WrongParameterError(f"the parameter {name!r} is {text!r:.80}: give {rule.allowed}")
    return value


def one_part(in_query: str | None, in_form: str | None) -> str | None:
    """Return the part's name, wherever it is given.

    Raises: WrongParameterError, when query and form give different ones.
    """
    if in_query is not None and in_form is not None and in_query != in_form:
        raise WrongParameterError("the query and the form name different parts: name it once")
    return in_query if in_query is not None else in_form
