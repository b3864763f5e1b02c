"""An open loop of requests that costs next to no processor time: arrivals do not wait for answers."""

import asyncio
import random
import time
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What came back: when answers came, how long refusals took, and how many requests ended otherwise."""

    answered_at: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    left: int = 0
    failed: int = 0

    def rate(self, start, end):
        """Answers a second between two times."""
        return sum(start <= at < end for at in self.answered_at) / (end - start)


class Client:
    """Posts one body after another over kept connections."""

    def __init__(self, port, bodies):
        self.port, self.free, self.outcome, self.random = port, [], Outcome(), random.Random(0)  # noqa: S311  no secret
        head = "POST /analyze HTTP/1.1\r\nHost: a\r\nAccept: image/png\r\nContent-Type: image/jpeg\r\nContent-Length: "
        self.requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]

    async def ask(self, patience_s):
        """Ask once, and leave when the patience is over."""
        started, connection = time.monotonic(), None
        try:
            async with asyncio.timeout(patience_s):
                connection = self.free.pop() if self.free else await asyncio.open_connection("127.0.0.1", self.port)
                reader, writer = connection
                writer.write(self.random.choice(self.requests))
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
        except TimeoutError:
            self.outcome.left += 1
        except (OSError, EOFError):
            self.outcome.failed += 1
        else:
            now, status = time.monotonic(), int(head[9:12])
            if status == 200:
                self.outcome.answered_at.append(now)
            elif status == 503:
                self.outcome.refused_s.append(now - started)
            else:
                self.outcome.failed += 1
            self.free.append(connection)
            return
        if connection is not None:
            connection[1].transport.abort()

    async def closed_loop(self, clients, seconds):
        """So many clients, each asking again as soon as it is answered; return the answers a second."""
        end = time.monotonic() + seconds

        async def repeat():
            while time.monotonic() < end:
                refused = len(self.outcome.refused_s)
                await self.ask(60)
                if len(self.outcome.refused_s) > refused:
                    await asyncio.sleep(0.2)

        await asyncio.gather(*(repeat() for _ in range(clients)))
        return self.outcome.rate(end - 0.8 * seconds, end)

    async def open_loop(self, rate, seconds, patience_s):
        """Ask at a mean rate a second, whatever comes back; return the answers a second after a fifth of the time."""
        start, tasks = time.monotonic(), set()
        due = start
        while due < start + seconds:
            due += self.random.expovariate(rate)
            await asyncio.sleep(max(0, due - time.monotonic()))
            task = asyncio.create_task(self.ask(patience_s))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        end = start + seconds
        await asyncio.gather(*tasks)
        return self.outcome.rate(end - 0.8 * seconds, end)

    def close(self):
        for _, writer in self.free:
            writer.transport.abort()
