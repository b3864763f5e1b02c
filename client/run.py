"""Many photographs through the service, several at once.

photograph ─ journal ─▶ an answer of an earlier run ─┐
           └ service ─▶ a new answer ────────────────┴▶ mask, overlay ▶ journal ▶ a row

Each of the images at once has a thread from its file to its pictures: a folder may lie on another machine, for which
the service should not wait. One thread a task costs less processor time than handing each step to another.
"""

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from client.analysis import Analysis, read_analysis
from client.errors import DAMAGED, ClientError, InputError, RefusedError, ServiceAwayError, WrongAnswerError
from client.files import write_whole
from client.journal import Journal, journal_key
from client.outcomes import Outcome, answered, unanswered
from client.photographs import MASKS, OVERLAYS, Photograph
from client.service import Client

NO_SUCH_NAME = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR)  # while another one may be written
NOT_SENT: Final = "not sent"
INTERRUPTED = "the run was interrupted before"
SHARED_LINE = "; --at-once 1 leaves the whole line to each image"


@dataclass
class Run:
    """One pass over photographs; results are in `outcomes`, by name, as far as it came.

    Attributes:
        folder: where masks and overlays go.
        settings: threshold and alarm_score that are asked for, None for the model's own.
        model: what the service serves now; an earlier answer of another one does not count. None: unknown.
        again: whether refused images are sent again.
        on_outcome: is called after each photograph, never by two threads at once.
        stopped: why the rest was not sent; empty if all was.
    """

    client: Client
    journal: Journal
    folder: Path
    settings: Mapping[str, float | None]
    on_outcome: Callable[[Outcome], None]
    model: Mapping[str, Any] | None = None
    again: bool = False
    stopped: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _at_once: int = 1
    _interrupted: str = ""
    _ending: threading.Lock = field(default_factory=threading.Lock)

    def over(self, photographs: Sequence[Photograph], *, at_once: int) -> None:
        """Analyse them all. Where the service is away or refuses the caller, the rest has the answers of earlier runs.

        Raises: InputError, if a result cannot be written.
        """
        waiting = iter(photographs)
        self._at_once = at_once
        threads = ThreadPoolExecutor(at_once, thread_name_prefix="photographs")
        try:
            for work in as_completed([threads.submit(self._work, waiting) for _ in range(at_once)]):
                work.result()
        except BaseException as error:
            self._interrupted = str(error) or INTERRUPTED
            self.client.close()
            raise
        finally:
            threads.shutdown()
            self.stopped = self._interrupted or self.stopped
            for photograph in photographs:
                self.outcomes.setdefault(photograph.name, unanswered(photograph, self.stopped, status=NOT_SENT))

    def _work(self, waiting: Iterator[Photograph]) -> None:
        for photograph in waiting:
            outcome = self._outcome(photograph)
            if self._interrupted and outcome.found is None:
                return  # its request ended with the client
            if outcome.status != NOT_SENT:
                with self._ending:
                    self.outcomes[photograph.name] = outcome
                    self.on_outcome(outcome)
            if self._interrupted or (self.stopped and not len(self.journal)):
                return

    def _outcome(self, photograph: Photograph) -> Outcome:
        try:
            content = photograph.path.read_bytes()
        except OSError as error:
            return unanswered(photograph, f"it cannot be read: {error.strerror}")
        if not content:
            self._remove(*_pictures(photograph))
            return unanswered(photograph, "the file is empty")
        try:
            return self._analyse(photograph, content)
        except RefusedError as error:
            self.stopped = str(error) if error.is_about_the_caller else self.stopped
            hint = SHARED_LINE if error.status == HTTPStatus.REQUEST_TIMEOUT and self._at_once > 1 else ""
            return unanswered(photograph, f"{error}{hint}", sent=True)
        except (ServiceAwayError, WrongAnswerError) as error:
            if isinstance(error, WrongAnswerError) or not self._service_is_there():
                self.stopped = str(error)
            return unanswered(photograph, str(error))

    def _service_is_there(self) -> bool:
        try:
            self.client.served_model()
        except ClientError:
            return False
        return True

    def _analyse(self, photograph: Photograph, content: bytes) -> Outcome:
        key = journal_key(content, photograph.part, self.settings)
        entry = self._earlier(key)
        sent = entry is None
        if entry is None and self.stopped:
            return unanswered(photograph, self.stopped, status=NOT_SENT)
        if entry is None:
            entry = self._ask(photograph, content, key)
        mask, overlay = _pictures(photograph)
        if "problem" in entry:
            self._remove(mask, overlay)
            return unanswered(photograph, str(RefusedError(**entry["problem"])), sent=sent)
        analysis = read_analysis(entry["answer"])
        if sent or not self._has_pictures(photograph.name, key, mask, overlay):
            try:
                self._draw(content, analysis, mask, overlay)
            except _UndrawnError as error:
                self._remove(mask, overlay)
                return unanswered(photograph, f"it was answered, but cannot be drawn: {error}", sent=sent)
            self.journal.add(key, photograph.name, answer=entry["answer"])
        return answered(photograph, analysis, mask=mask, overlay=overlay, sent=sent)

    def _earlier(self, key: str) -> dict[str, Any] | None:
        entry = self.journal.find(key)
        if entry is None or ("problem" in entry and self.again):
            return None
        if "problem" in entry or self.model is None or self.model == entry["answer"]["model"]:
            return entry
        return None

    def _ask(self, photograph: Photograph, content: bytes, key: str) -> dict[str, Any]:
        try:
            answer = self.client.ask(content, part=photograph.part, **self.settings)
        except RefusedError as error:
            if not error.is_about_the_image:
                raise
            problem = {"status": error.status, "title": error.title, "detail": error.detail}
            self.journal.add(key, photograph.name, problem=problem)
            return {"problem": problem}
        return {"answer": {name: value for name, value in answer.items() if name != "rle_string"}}

    def _has_pictures(self, name: str, key: str, *pictures: str) -> bool:
        return self.journal.shows(name, key) and all((self.folder / each).exists() for each in pictures)

    def _remove(self, *pictures: str) -> None:
        """Remove what was drawn when a file of this name had other content."""
        for each in pictures:
            with contextlib.suppress(OSError):
                (self.folder / each).unlink()

    def _draw(self, content: bytes, analysis: Analysis, mask: str, overlay: str) -> None:
        from client.pictures import draw_pictures  # noqa: PLC0415  Pillow loads while the service has work

        try:
            drawn = draw_pictures(content, analysis)
        except DAMAGED as error:
            raise _UndrawnError(str(error)) from None
        for name, picture in ((mask, drawn.mask), (overlay, drawn.overlay)):
            try:
                write_whole(self.folder / name, picture)
            except OSError as error:
                if error.errno in NO_SUCH_NAME:
                    raise _UndrawnError(f"{name}: {error.strerror}") from None
                raise InputError(
                    f"{self.folder / name} cannot be written: {error.strerror}; make room, or choose another --out"
                ) from None


class _UndrawnError(Exception):
    """Pillow cannot read an image that the service could, or its picture cannot have this name."""


def _pictures(photograph: Photograph) -> tuple[str, str]:
    """Return the paths of a photograph's mask and overlay, from the run's folder."""
    return f"{MASKS}/{photograph.name}.png", f"{OVERLAYS}/{photograph.name}.png"
