"""Processes the audio of one stream in turns with other streams: windows into the outbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import chain

from service import protocol
from service.inference.gateway import Gateway
from service.inference.load_shedding import BEHIND_S, MAX_AGE, MAX_AGE_OF_NEWEST
from service.inference.registry import VersionFollower
from service.inference.turns import TURN_S
from service.streaming.accounting import Arrivals
from service.streaming.connection import Inbox
from service.streaming.outbox import Outbox
from service.streaming.windower import Event, LiveWindow, Windower

OVERLOAD_GRACE = 0.25
"""Share of the hop that the outbox may stay over its bound before the oldest window is dropped: a
burst is not overload."""


class AudioProcessor:
    """Takes what the inbox has gathered; what takes too long goes on in another turn."""

    def __init__(
        self,
        gateway: Gateway,
        follower: VersionFollower,
        start: protocol.Start,
        inbox: Inbox,
        windower: Windower,
        outbox: Outbox,
    ) -> None:
        """Process from now on."""
        self._turns, self._load_shedder = gateway.turns, gateway.load_shedder
        self._deadline_s = gateway.settings.window_deadline
        self._follower, self._windower, self._outbox = follower, windower, outbox
        self._inbox = inbox
        self._complete = start.on_overload == "complete"
        self._grace_s = None if self._complete else OVERLOAD_GRACE * start.hop
        self._start, self._captured = start, start.captured
        self._arrivals = Arrivals(start)
        self._parts: Iterator[list[Event]] = iter(())
        self._behind = self._busy = self._released = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the exception that ended the processing: TimbreError if the audio is not valid."""
        inbox.gather(self._arrivals, self.request_turn)

    def request_turn(self) -> None:
        """Process what is gathered when the turn comes."""
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._request()

    def _request(self) -> None:
        self._turns.request(self._take_turn, model=self._follower.model.name)

    async def finish(self) -> None:
        """Process what is gathered, and put the windows that the end completes."""
        self.request_turn()
        await self._idle.wait()
        if not self.fault.done():
            self._put(self._windower.finish(), begin=self._turns.clock())

    def release(self) -> None:
        """Free the large buffers; nothing is processed any more."""
        self._released = True
        self._parts = iter(())
        self._arrivals.take()
        self._windower.release()
        if self.fault.done():
            self.fault.exception()  # retrieved, so that asyncio does not log it
        self.fault.cancel()

    def _take_turn(self, waited_s: float) -> None:
        try:
            # After a fault, what was gathered before it was known is not processed.
            goes_on = not (self._released or self.fault.done()) and self._process(waited_s)
        except Exception as error:  # noqa: BLE001 - the stream raises it
            self.fault.set_exception(error)
            goes_on = False
        if not goes_on:
            self._busy = False
            self._idle.set()

    def _process(self, waited_s: float) -> bool:
        """Process for about TURN_S; return whether more is to be done."""
        now = begin = self._turns.clock()
        self._shed(now, waited_s)
        while not self._outbox.full:
            if now - begin > TURN_S:
                self._request()
                return True
            events = next(self._parts, None)
            if events is not None:
                self._put(events, begin=now)
            elif not self._take():
                self._arrivals.wanted = self._windower.wanted
                return False
            now = self._turns.clock()
        self._outbox.when_free(self._request, grace_s=self._grace_s)
        return True

    def _take(self) -> bool:
        """Take what is gathered, if anything."""
        messages = self._arrivals.take()
        self._inbox.resume()
        self._parts = chain.from_iterable(map(self._windower.feed, messages))
        return bool(messages)

    def _shed(self, now: float, waited_s: float) -> None:
        """Decide which of the windows that are due are still computed."""
        self._behind = not self._complete and waited_s > BEHIND_S
        if self._behind:
            oldest = now - MAX_AGE_OF_NEWEST * self._deadline_s
            newest = self._arrivals.due(self._arrivals.end) > oldest
            self._windower.shed(
                self._arrivals.sample_at(now - MAX_AGE * self._deadline_s),
                newest_at=self._arrivals.end if newest else None,
            )

    def _put(self, events: list[Event], *, begin: float) -> None:
        now = self._turns.clock()
        for event in events:
            if isinstance(event, LiveWindow):
                if why := self._follower.follow():
                    at = event.start_sample
                    self._outbox.put(protocol.Warn(kind="version", detail=why, from_sample=at))
                event.model = self._follower.model
                self._set_times(event, begin, now)
                if event.tensor is None:
                    self._load_shedder.record(now, model=event.model.name)
            self._outbox.put(event)

    def _set_times(self, window: LiveWindow, begin: float, now: float) -> None:
        read, due = self._arrivals.times(window.needs)
        if not self._complete:
            window.deadline = self._deadline_s + (due if self._behind else read)
        window.due = due
        if self._captured is not None:
            sound_s = (window.end_sample - self._start.first_sample) / self._start.sample_rate
            window.due = min(begin, now - (time.time() - self._captured - sound_s))
        window.waiting_ms = 1e3 * (begin - window.due)
        window.features_ms = 1e3 * (now - begin)
