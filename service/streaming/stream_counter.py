"""Counts what one stream sends, and what became of its sound."""

from __future__ import annotations

from service import protocol
from service.metrics.metrics import STATES, Metrics
from service.streaming.accounting import SampleAccount

STAGES = ("total", "features", "queue", "model", "waiting")
"""Of `protocol.Age`."""


class StreamCounter:
    """Adds to the metrics of its process as it goes on, for that may be killed."""

    def __init__(
        self, metrics: Metrics, account: SampleAccount, *, model: str, sample_rate: int
    ) -> None:
        """sample_rate: Hertz, of the client."""
        self._metrics, self._account = metrics, account
        self._model, self._rate = model, sample_rate
        self._heard = self._silent = self._dropped = 0
        self._count_window = metrics.windows.bound(model)
        self._observe = [metrics.window_age.bound(model, stage) for stage in STAGES]
        self._cover = {state: metrics.coverage.bound(state) for state in STATES}

    def sent(self, message: protocol.ServerMessage) -> None:
        """Count a message that is about to be sent."""
        if isinstance(message, protocol.Window):
            self._count_window(1.0)
            age = message.age_ms
            stages = (age.total, age.features, age.queue, age.model, age.waiting)
            for observe, ms in zip(self._observe, stages, strict=True):
                observe(ms / 1e3)
            self._count_sound(self._account.lost_for_good)
        elif isinstance(message, protocol.Dropped):
            self._metrics.dropped_windows.add(self._model, message.reason)
            if message.reason == "gap":
                self._cover["missing"]((message.to_sample - message.from_sample) / self._rate)

    def began(self, event: protocol.LabelEvent) -> None:
        """Count an event at its onset."""
        if event.state == "onset":
            self._metrics.events.add(self._model, event.label)

    def close(self) -> None:
        """Count the sound whose end is only known when the stream ends."""
        self._count_sound(self._account.dropped)
        self._cover["unanswered"](self._account.tail / self._rate)

    def _count_sound(self, dropped: int) -> None:
        silent = self._account.silent
        heard = self._account.processed - silent
        self._cover["heard"]((heard - self._heard) / self._rate)
        if silent != self._silent:
            self._cover["silent"]((silent - self._silent) / self._rate)
        if dropped != self._dropped:
            self._cover["dropped"]((dropped - self._dropped) / self._rate)
        self._heard, self._silent, self._dropped = heard, silent, dropped
