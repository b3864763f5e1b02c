"""Which connections may stay: the policy, without sockets or clock.

A connection waits for its client in three ways: for a request's head, for its body, and to take what was written. If a
new connection finds all places taken, the one that has waited longest for its client makes room: it is the least likely
to be a good one.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

PATIENCE_S = 0.5  # a connection that waits for less than this makes no room: its request may be on its way


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What connections may take.

    Attributes:
        connections: at once.
        address_connections: at once from one address; 0 sets no limit.
        head_s: seconds from a head's first byte to its last.
        unread_s: seconds in which a client must take `unread_s * byte_rate` bytes of its answer, or all of it.
        byte_rate: bytes a second.
        unread_bytes: bytes of answers that all clients together have not taken yet.
    """

    connections: int
    address_connections: int
    head_s: float
    unread_s: float
    byte_rate: float
    unread_bytes: int


class Waiting(Protocol):
    """What the policy needs to know about a connection; all times are on the caller's clock, in seconds."""

    address: str

    @property
    def waiting_since(self) -> float | None:
        """When it began to wait for its client; None while its request is worked on."""

    @property
    def head_since(self) -> float | None:
        """When the first byte of an unfinished head came, or the connection itself; None otherwise."""

    @property
    def unread(self) -> int:
        """Bytes written that the client has not taken."""


C = TypeVar("C", bound=Waiting)


@dataclass
class _Mark:
    """How much was unread when."""

    at: float
    unread: int


@dataclass
class Connections(Generic[C]):
    """The open connections."""

    limits: Limits
    _open: set[C] = field(default_factory=set)
    _by_address: Counter[str] = field(default_factory=Counter)
    _marks: dict[C, _Mark] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._open)

    def refusal(self, address: str) -> str | None:
        """Return why this address may not open one more connection; None if it may."""
        allowed = self.limits.address_connections
        if allowed and self._by_address[address] >= allowed:
            return f"{allowed} connections are open from your address already: close some, or reuse them"
        return None

    def is_full(self) -> bool:
        """Tell whether somebody must make room for the next one."""
        return len(self._open) >= self.limits.connections

    def longest_waiting(self, now: float) -> C | None:
        """Return the connection that makes room; None if all are being worked on or have just begun."""
        waiting = [(each.waiting_since, each) for each in self._open]
        candidates = [(since, each) for since, each in waiting if since is not None and since < now - PATIENCE_S]
        return min(candidates, key=lambda pair: pair[0])[1] if candidates else None

    def add(self, connection: C) -> None:
        """Count a connection."""
        self._open.add(connection)
        self._by_address[connection.address] += 1

    def remove(self, connection: C) -> None:
        """Forget a connection, known or not."""
        if connection in self._open:
            self._open.remove(connection)
            self._marks.pop(connection, None)
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]

    def slow_heads(self, now: float) -> list[C]:
        """Return the connections whose request's head takes too long, unless the request before it is worked on."""
        last = now - self.limits.head_s
        slow = [each for each in self._open if each.head_since is not None and each.head_since < last]
        return [each for each in slow if each.waiting_since is not None]

    def slow_readers(self, now: float) -> list[C]:
        """Return the connections whose clients do not take their answers; call it about once a second."""
        unread = {each: size for each in self._open if (size := each.unread)}
        self._marks = {each: self._mark(each, size, now) for each, size in unread.items()}
        slow = [each for each, size in unread.items() if self._is_slow(each, size, now)]
        return slow + list(self._too_much(unread, now))

    def _mark(self, connection: C, size: int, now: float) -> _Mark:
        """Begin to watch a connection, and again when it has taken enough or got another answer."""
        mark = self._marks.get(connection)
        if mark is None or size > mark.unread:
            return _Mark(now, size)
        taken, time_s = mark.unread - size, now - mark.at
        enough = taken >= self.limits.unread_s * self.limits.byte_rate
        return _Mark(now, size) if enough and time_s >= self.limits.unread_s else mark

    def _is_slow(self, connection: C, size: int, now: float) -> bool:
        mark = self._marks[connection]
        return (
            now - mark.at >= self.limits.unread_s and mark.unread - size < self.limits.unread_s * self.limits.byte_rate
        )

    def _too_much(self, unread: dict[C, int], now: float) -> Iterator[C]:
        """Give the largest answers first, until the others are few enough; what was just written may yet be taken."""
        excess = sum(unread.values()) - self.limits.unread_bytes
        for each, size in sorted(unread.items(), key=lambda pair: -pair[1]):
            if excess > 0 and self._marks[each].at < now - PATIENCE_S:
                excess -= size
                yield each
