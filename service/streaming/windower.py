"""Bytes of one live stream to windows, every sample accounted for: no I/O, no clock.

A `LiveWindow` also has fields that the processor (times, model) and the outbox (request) set.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.config import AudioConfig, Kind, Samples, Tensor
from features.mixdown import ChannelMixer
from features.resample import StreamingResampler
from features.streaming import StreamingExtractor
from service import protocol
from service.encodings import Values, decode
from service.streaming.accounting import SampleAccount
from service.streaming.byte_checks import ByteChecker
from service.streaming.signal_checks import SignalChecker
from service.tracing.spans import Span

if TYPE_CHECKING:
    from models.store import Model
    from service.inference.gateway import Prediction

PART_S = 1.5
"""Seconds of sound in which longer messages are processed, so that other streams get their turn."""
GATHERED_S = 1.0
"""Seconds of sound that wait for a turn at most."""
MAX_LAG_S = 0.12
"""Seconds of sound that resampling holds back at most."""


@dataclass(slots=True, eq=False)
class LiveWindow:
    """One window from its last sample to its result."""

    start: int
    """Samples at the model's rate."""
    end: int
    start_sample: int
    """At the client's rate, rounded."""
    end_sample: int
    tensor: Tensor | None
    """None if the window is dropped: load was shed, or it was the oldest in a full outbox."""
    needs: int = 0
    """It can be computed once the sample before this one is there, at the client's rate."""
    due: float = 0.0
    """time.monotonic() when the last byte that it needed was due by the stream's clock."""
    deadline: float = math.inf
    """time.monotonic() after which its result has expired."""
    waiting_ms: float = 0.0
    """From `due` until its features began to be computed."""
    features_ms: float = 0.0
    model: Model | None = None
    """The version that answers it: the current one when the window was complete."""
    request: asyncio.Task[Prediction] | None = None
    """Its inference, if started while earlier windows are pending; else it starts in its turn."""
    trace: Span | None = None
    """None: not traced."""

    def cancel(self) -> None:
        """Cancel the request, if there is one."""
        if self.request:
            self.request.cancel()
            # Retrieved, so that asyncio does not log it.
            self.request.add_done_callback(lambda task: task.cancelled() or task.exception())


Event = LiveWindow | protocol.Dropped | protocol.Warn


class Windower:
    """Splits a stream into windows on the grid that begins at sample 0, whatever the chunks."""

    def __init__(
        self,
        start: protocol.Start,
        *,
        config: AudioConfig,
        kind: Kind,
        min_hop: float,
        warn_every: float,
    ) -> None:
        """min_hop, warn_every: seconds. Raises Unprocessable when the hop is out of range."""
        config.check_hop(start.hop, shortest=min_hop)
        self.hop = config.live_hop(start.hop)
        """Samples at the model's rate."""
        self._compute_from = 0  # windows that begin before it, at the model's rate, are shed
        self.account = SampleAccount()
        self._start = start
        self._config = config
        self._kind: Kind = kind
        self._grid = protocol.SampleGrid(
            client_rate=start.sample_rate, model_rate=config.sample_rate
        )
        self._byte_checker: ByteChecker | None = ByteChecker(
            encoding=start.encoding, channels=start.channels, sample_rate=start.sample_rate
        )
        self._checker = SignalChecker(start.sample_rate, every_s=warn_every)
        self._next = start.first_sample
        self._part = round(PART_S * start.sample_rate)
        self._max_gathered = round(GATHERED_S * start.sample_rate)
        self._restart(start.first_sample)

    def feed(self, message: bytes) -> Iterator[list[Event]]:
        """Yield the events that each part of a binary message completes.

        Exhaust it before the next message. Raises InputError or Unprocessable when the bytes are
        not audio as announced.
        """
        first, audio = (
            protocol.unnumber(message)
            if self._start.numbered
            else (self._next, memoryview(message))
        )
        values = decode(audio, encoding=self._start.encoding, channels=self._start.channels)
        events = self._skip_to(first)
        if self._byte_checker:
            events += self._byte_checker.feed(audio, at=first)
            if self._byte_checker.done:
                self._byte_checker = None
        values = values[max(0, self._next - first) :]
        for at in range(0, len(values), self._part):
            yield events + self._process(values[at : at + self._part])
            events = []
        if events:
            yield events

    @property
    def wanted(self) -> int:
        """Sample of the client that completes the next window, or a turn's worth of sound."""
        return min(self._due, self._next + self._max_gathered)

    def shed(self, before: int, *, newest_at: int | None) -> None:
        """Do not compute windows that need only samples before `before`, except the newest.

        newest_at: end of the samples that are there, some still to be fed; None: no exception.
        """
        rate, window = self._config.sample_rate, self._config.window
        first = self._grid.to_model(before) - window
        if newest_at is not None:
            lag = MAX_LAG_S if self._start.sample_rate != rate else 0.0
            newest = self._grid.to_model(newest_at) - round(lag * rate) - window
            first = min(first, newest // self.hop * self.hop)
        self._compute_from = max(self._compute_from, first)

    def finish(self) -> list[Event]:
        """Return the windows that the end completes. Samples that fill no window are the tail."""
        rest = self._resampler.feed(self._mixer.finish())
        return [*self._windows(rest), *self._windows(self._resampler.finish())]

    def release(self) -> None:
        """Free the large buffers; nothing can be fed afterwards."""
        del self._resampler, self._extractor, self._checker, self._mixer

    def _restart(self, first_sample: int) -> None:
        """Begin at a sample; no window holds samples from before it."""
        self._mixer = ChannelMixer(
            channels=self._start.channels, rate=self._start.sample_rate, first=first_sample
        )
        self._resampler = StreamingResampler(self._start.sample_rate, self._config.sample_rate)
        first = self._grid.to_model(first_sample)
        self._extractor = StreamingExtractor(
            self._config, hop=self.hop, kind=self._kind, first_sample=first
        )
        # At a low rate a window may begin a sample or two before the first sample: without these
        # zeros everything after would be shifted, and a resumed stream would differ from an
        # unbroken one.
        self._extractor.feed(np.zeros(max(0, self._grid.nearest(first_sample) - first), np.float32))
        self._first, self._first_fed = first_sample, self._extractor.position
        self._due = self._needed(self._extractor.due)

    def _needed(self, end: int) -> int:
        """Return the client's sample before which all are needed for samples up to `end`."""
        return self._first + self._resampler.input_for(end - self._first_fed)

    def _skip_to(self, first: int) -> list[Event]:
        """Go to the first sample of a message; report the samples before it that are missing."""
        if first <= self._next:
            return []
        gap = protocol.Dropped(from_sample=self._next, to_sample=first, reason="gap")
        events = [*self.finish(), gap]
        self._next = first
        self._restart(first)
        return events

    def _process(self, values: Values) -> list[Event]:
        samples = self._mixer.feed(values)
        warnings, first = self._checker.feed(samples, at=self._next), self._next
        for at in self._mixer.opposite_from:
            warnings += self._checker.opposite(at=at)
        self._next += len(values)
        self.account.receive(first, self._next, silent=self._checker.silent)
        events: list[Event] = [*warnings, *self._windows(self._resampler.feed(samples))]
        self._due = self._needed(self._extractor.due)
        return events

    def _windows(self, samples: Samples) -> Iterator[LiveWindow]:
        windows = self._extractor.feed(samples, should_compute=self._is_computed)
        for start, end, tensor in windows:
            # The resampler's last sample may round to one past what was received.
            end_sample = min(self._grid.to_client(end), self._next)
            needs = min(self._needed(end), self._next)
            yield LiveWindow(start, end, self._grid.to_client(start), end_sample, tensor, needs)

    def _is_computed(self, start: int) -> bool:
        return start >= self._compute_from
