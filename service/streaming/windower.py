"""One live stream without its socket: bytes in, windows out, every sample accounted for. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.config import AudioConfig, Kind, Samples, Tensor
from features.resample import StreamingResampler
from features.streaming import StreamingExtractor
from service import protocol
from service.encodings import decode_mono
from service.streaming.accounting import SampleAccount
from service.streaming.sample_grid import SampleGrid
from service.streaming.signal_checks import SignalChecker, check_header

PARTS_PER_S = 4
"""Longer messages are worked on in parts, so that others get their turn."""
GATHERED_S = 0.5
"""Seconds of sound up to which messages that complete no window are gathered: each piece of work
has its cost."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveWindow:
    """A window ready for the model, with its place at both rates."""

    start: int
    """At the model's rate."""
    end: int
    start_sample: int
    """At the client's rate, rounded."""
    end_sample: int
    tensor: Tensor | None
    """None if the window was not computed, because there was no time for it."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that never came, at the client's rate."""

    start_sample: int
    end_sample: int


Event = LiveWindow | Gap | protocol.Warn


class Windower:
    """Cuts a stream into windows on the grid that begins at sample 0, whatever the chunks."""

    def __init__(
        self,
        start: protocol.Start,
        *,
        config: AudioConfig,
        kind: Kind,
        min_hop: float,
        warn_every: float,
    ) -> None:
        """Raises Unprocessable when the hop is out of range."""
        config.check_hop(start.hop, shortest=min_hop)
        self.hop = config.live_hop(start.hop)
        """Samples at the model's rate."""
        self.thinning = (1, 0)
        """Of how many windows one is computed, and which: its number in the grid, divided, leaves
        this."""
        self.account = SampleAccount()
        self._start = start
        self._config = config
        self._kind: Kind = kind
        self._grid = SampleGrid(client_rate=start.sample_rate, model_rate=config.sample_rate)
        self._watch = SignalChecker(start.sample_rate, every=warn_every)
        self._next = start.first_sample
        self._step = start.sample_rate // PARTS_PER_S
        self._enough = round(GATHERED_S * start.sample_rate)
        self._gathered: list[Samples] = []
        self._held = 0
        self._begin(start.first_sample)

    def take(self, frame: bytes) -> Iterator[list[Event]]:
        """Take in one binary message, yielding what each part of it completes. Exhaust before the next.

        Raises InputError or Unprocessable when the bytes are no audio as announced.
        """
        first, audio = (
            protocol.unnumber(frame) if self._start.numbered else (self._next, memoryview(frame))
        )
        samples = decode_mono(audio, encoding=self._start.encoding, channels=self._start.channels)
        events: list[Event] = [] if self.account.received else [*check_header(audio, at=self._next)]
        events += self._jump(first)
        samples = samples[max(0, self._next - first) :]
        for at in range(0, len(samples), self._step):
            yield events + self._feed(samples[at : at + self._step])
            events = []
        if events:
            yield events

    def finish(self) -> list[Event]:
        """Return the windows that the end of the stream completes. What fills no window is the tail."""
        return [*self._work(), *self._cuts(self._resampler.finish())]

    def release(self) -> None:
        """Let go of all that is large; nothing can be taken in afterwards."""
        del self._resampler, self._extractor, self._watch
        self._gathered.clear()

    def _begin(self, first_sample: int) -> None:
        """Start cutting at a sample; nothing from before it is in any window."""
        self._segment = first_sample
        self._resampler = StreamingResampler(self._start.sample_rate, self._config.sample_rate)
        first = self._grid.to_model(first_sample)
        self._extractor = StreamingExtractor(
            self._config, hop=self.hop, kind=self._kind, first_sample=first
        )
        # At a low rate a window may begin a sample or two before the first sound: without these
        # zeros all that follows would be heard too early, and a stream taken up again would differ
        # from an unbroken one.
        self._extractor.feed(np.zeros(max(0, self._grid.nearest(first_sample) - first), np.float32))
        self._due = self._grid.to_client(self._extractor.due)

    def _jump(self, first: int) -> list[Event]:
        """Go to the first sample of a frame if some before it are missing."""
        if first <= self._next:
            return []
        events: list[Event] = [*self.finish(), Gap(self._next, first)]
        self._next = first
        self._begin(first)
        return events

    def _feed(self, samples: Samples) -> list[Event]:
        """Take in samples; work on them as soon as they are many, or can complete a window."""
        self._gathered.append(samples)
        self._held += len(samples)
        self._next += len(samples)
        self.account.received += len(samples)
        return self._work() if self._held >= self._enough or self._next >= self._due else []

    def _work(self) -> list[Event]:
        if not self._gathered:
            return []
        samples = self._gathered[0] if len(self._gathered) == 1 else np.concatenate(self._gathered)
        self._gathered.clear()
        self._held = 0
        warnings = self._watch.look(samples, at=self._next - len(samples))
        events: list[Event] = [*warnings, *self._cuts(self._resampler.feed(samples))]
        self._due = self._grid.to_client(self._extractor.due)
        return events

    def _cuts(self, samples: Samples) -> Iterator[LiveWindow]:
        for start, end, tensor in self._extractor.feed(samples, wanted=self._wanted):
            # The resampler's last sample may round to one past what came.
            end_sample = min(self._grid.to_client(end), self._next)
            yield LiveWindow(start, end, self._grid.to_client(start), end_sample, tensor)

    def _wanted(self, start: int) -> bool:
        keep, which = self.thinning
        return start // self.hop % keep == which % keep
