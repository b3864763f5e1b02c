"""The addresses behind a host's name. Each fresh connection would otherwise look the name up anew."""

import asyncio
import math
import random
import socket

from proxy.errors import SegmenterAwayError

BELIEVED_S = 10.0  # as long as aiohttp itself believes them
LOOK_UP_S = 1.0  # while known addresses may be used instead


class Addresses:
    """The addresses of one host:port: those of IPv4, or those of IPv6 if there are no others.

    `localhost` often has both, and Triton listens on one. Make it inside a running event loop.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._known: list[str] = []
        self._found_s = -math.inf
        self._clock = asyncio.get_running_loop().time

    async def pick(self) -> str:
        """Return one of them as host:port, at random.

        Raises: SegmenterAwayError.
        """
        if self._clock() - self._found_s > BELIEVED_S:
            await self._look_up()
        return random.choice(self._known)  # noqa: S311  it spreads load, and guards nothing

    async def _look_up(self) -> None:
        host, _, port = self._url.rpartition(":")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOK_UP_S if self._known else None):
                found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except OSError as error:  # TimeoutError is one
            if self._known:  # they may still be right
                self._found_s = self._clock()
                return
            raise SegmenterAwayError(f"Triton's address {self._url} is unknown ({error.strerror})") from None
        hosts = [str(address[0]) for family, *_, address in found if family == socket.AF_INET]
        hosts = hosts or [f"[{address[0]}]" for *_, address in found]
        self._known, self._found_s = [f"{host}:{port}" for host in hosts], self._clock()
