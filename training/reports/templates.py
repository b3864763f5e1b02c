"""Markdown from Jinja2 templates, for reports and comments."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tabulate import tabulate


def render(template: Path, **values: object) -> str:
    """Fill a template; a missing value is an error."""
    environment = Environment(  # noqa: S701 - Markdown: nothing is escaped
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["table"] = table
    return environment.get_template(template.name).render(values)


def table(rows: Iterable[Sequence[object]], *header: str) -> str:
    """Return a Markdown table; "None." if there are no rows."""
    rows = list(rows)
    return tabulate(rows, header, tablefmt="pipe", disable_numparse=True) if rows else "None."
