"""Live streams through the balancer at real speed, each with its account."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.cluster.account import Account
from benchmarks.cluster.deployment import BALANCER, MODEL
from service.client import Client
from service.client.events import End

RATE = 22_050
HOP_S = 1.0
CHUNK = RATE // 4


@dataclass
class Totals:
    """Sums over streams."""

    answered: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    reconnects: int = 0

    def since(self, before: Totals) -> Totals:
        """Return what came since."""
        return Totals(
            self.answered - before.answered,
            self.dropped - before.dropped,
            self.reconnects - before.reconnects,
        )


class Load:
    """Streams, half of each kind of overload, that begin within one hop."""

    def __init__(
        self, count: int, *, token: str | None = None, url: str = BALANCER, model: str = MODEL
    ) -> None:
        self._model = model
        self.accounts = [Account() for _ in range(count)]
        self.samples = [0] * count
        """Sent by each stream, once it has ended."""
        self.ends: list[End] = []
        self._client = Client(url, token=token)
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        noise = np.random.default_rng(1).standard_normal(RATE * 60).astype(np.float32)
        self._sound: npt.NDArray[np.float32] = 0.1 * noise

    async def start(self) -> None:
        """Open all streams, and return when each has its first answer."""
        for at in range(len(self.accounts)):
            self._tasks.append(asyncio.create_task(self._stream(at)))
            await asyncio.sleep(HOP_S / len(self.accounts))
        while not all(account.answered for account in self.accounts):
            await asyncio.wait(self._tasks, timeout=0.1, return_when=asyncio.FIRST_EXCEPTION)
            self.check()

    def check(self) -> None:
        """Raise the error of a stream that has failed."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def finish(self) -> None:
        """End all streams."""
        self._over.set()
        await asyncio.gather(*self._tasks)

    def totals(self) -> Totals:
        """Return the sums so far."""
        return Totals(
            sum(account.answered.total() for account in self.accounts),
            sum((account.reasons for account in self.accounts), Counter[str]()),
            sum(account.reconnects for account in self.accounts),
        )

    def longest_wait_s(self) -> float:
        """Return the longest time between two results of any stream, and begin anew."""
        longest = max(account.longest_wait_s for account in self.accounts)
        for account in self.accounts:
            account.longest_wait_s = 0.0
        return longest

    async def _stream(self, at: int) -> None:
        account, loop = self.accounts[at], asyncio.get_running_loop()
        policy: Literal["complete", "latest"] = "complete" if at % 2 else "latest"
        async with self._client.stream(
            self._model, sample_rate=RATE, hop=HOP_S, on_overload=policy
        ) as stream:

            async def feed() -> None:
                zero, sent = loop.time(), 0
                while not self._over.is_set():
                    begin = sent % (len(self._sound) - CHUNK)
                    await stream.send(self._sound[begin : begin + CHUNK])
                    sent += CHUNK
                    await asyncio.sleep(zero + sent / RATE - loop.time())
                self.samples[at] = stream.captured
                await stream.finish()

            feeding = asyncio.create_task(feed())
            async for event in stream:
                if isinstance(event, End):
                    self.ends.append(event)
                else:
                    account.add(event, now=loop.time(), rate=RATE)
            await feeding
