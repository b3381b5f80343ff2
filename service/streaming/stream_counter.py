"""Counts what one stream sends, and what became of its sound."""

from __future__ import annotations

from dataclasses import astuple, fields

from service import protocol
from service.metrics.metrics import STATES, Metrics
from service.streaming.accounting import SampleAccount

STAGES = tuple(field.name for field in fields(protocol.Age))


class StreamCounter:
    """Adds to the metrics of its process as it goes on, for that may be killed."""

    def __init__(
        self, metrics: Metrics, account: SampleAccount, *, model: str, sample_rate: int
    ) -> None:
        """sample_rate: Hertz, of the client."""
        self._metrics, self._account = metrics, account
        self._model, self._rate = model, sample_rate
        self._counted = (0, 0, 0)

    def sent(self, message: protocol.ServerMessage) -> None:
        """Count a message that is about to be sent."""
        if isinstance(message, protocol.Window):
            self._metrics.windows.add(self._model)
            observe = self._metrics.window_age.observe
            for stage, ms in zip(STAGES, astuple(message.age_ms), strict=True):
                observe(ms / 1e3, self._model, stage)
            self._count_sound(self._account.lost_for_good)
        elif isinstance(message, protocol.Dropped):
            self._metrics.dropped_windows.add(self._model, message.reason)
            if message.reason == "gap":
                self._add_sound("missing", message.to_sample - message.from_sample)

    def began(self, event: protocol.LabelEvent) -> None:
        """Count an event at its onset."""
        if event.state == "onset":
            self._metrics.events.add(self._model, event.label)

    def close(self) -> None:
        """Count the sound whose end is only known when the stream ends."""
        self._count_sound(self._account.dropped)
        self._add_sound("unanswered", self._account.tail)

    def _count_sound(self, dropped: int) -> None:
        heard = self._account.processed - self._account.silent
        now = (heard, self._account.silent, dropped)
        for state, before, samples in zip(STATES, self._counted, now, strict=False):
            self._add_sound(state, samples - before)
        self._counted = now

    def _add_sound(self, state: str, samples: int) -> None:
        if samples:
            self._metrics.coverage.add(state, by=samples / self._rate)
