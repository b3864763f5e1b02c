"""Clients that are slow on purpose, and a good one beside them; all on loopback, bounded in number and time."""

import asyncio
import contextlib
import time

from aiohttp import ClientSession, ClientTimeout, TCPConnector

HEAD = b"POST /analyze HTTP/1.1\r\nHost: proxy\r\nContent-Type: image/png\r\n"
PATIENCE_S = 2.0  # of the good client
GOOD_ADDRESS = "127.0.0.9"  # the slow ones use 127.0.0.1


async def slow_body(_reader, writer, body):
    """A byte of the body every 3 s."""
    writer.write(HEAD + b"Content-Length: 50000\r\n\r\n")
    while True:
        writer.write(body[:1])
        await writer.drain()
        await asyncio.sleep(3)


async def slow_head(_reader, writer, _body):
    """A header every 3 s, and never the last."""
    writer.write(HEAD)
    while True:
        writer.write(b"X-More: 1\r\n")
        await writer.drain()
        await asyncio.sleep(3)


async def slow_reader(_reader, writer, body):
    """Many requests for a large answer, of which a byte is read every 3 s."""
    writer.transport.pause_reading()
    while True:
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        await asyncio.sleep(3)


ATTACKS = {"bodies": slow_body, "headers": slow_head, "readers": slow_reader}


@contextlib.asynccontextmanager
async def attacking(attack, host, port, body, connections=500):
    """Keep so many slow connections open; one that is closed is opened again."""

    async def keep():
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    await attack(reader, writer, body)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(keep()) for _ in range(connections)]
    try:
        await asyncio.sleep(2)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def good_share(url, body, seconds):
    """Return the share of a good client's requests that are answered within its patience, and their number."""
    answered = asked = 0
    connector = TCPConnector(local_addr=(GOOD_ADDRESS, 0), force_close=True)
    async with ClientSession(connector=connector, timeout=ClientTimeout(PATIENCE_S)) as session:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            asked += 1
            with contextlib.suppress(OSError, TimeoutError, Exception):
                async with session.post(url, data=body, headers={"Content-Type": "image/png"}) as response:
                    await response.read()
                    answered += response.status == 200
            await asyncio.sleep(0.05)
    return answered / asked, asked
