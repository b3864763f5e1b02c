"""Progress bars with the time that is left: of one pass over images, or of a whole stage that makes several passes."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
LOG_INTERVAL_S = 30.0  # between the lines of a log, which keeps them all
_stage: ContextVar[Any] = ContextVar("stage", default=None)  # the bar of the stage that runs


def bar(**options: Any) -> Any:
    """Return tqdm's bar; in a log, one line in LOG_INTERVAL_S seconds."""
    interval_s = 0.1 if sys.stderr.isatty() else LOG_INTERVAL_S
    return tqdm(mininterval=interval_s, **options)


@contextlib.contextmanager
def progress(description: str, total: int) -> Iterator[None]:
    """Show one bar for all that `counted` gives in the `with` block. total: how many images, over all passes."""
    with bar(desc=description, total=total, unit="image") as shown:
        before = _stage.set(shown)
        try:
            yield
        finally:
            _stage.reset(before)


def counted(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items and count them on the stage's bar; without one, on a bar of their own."""
    stage = _stage.get()
    if stage is None:
        yield from bar(iterable=items, desc=description, total=total, unit="image", leave=False)
        return
    stage.set_postfix_str(description)
    for item in items:
        yield item
        stage.update()
