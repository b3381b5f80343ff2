"""The events of one stream as messages, at the client's rate, for the server and its clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from models.events import Event, EventDetector, check_settings
from models.manifest import Label
from service import protocol


class EventReporter:
    """Follows the answered and the missing windows of one stream."""

    def __init__(
        self,
        labels: Iterable[Label],
        start: protocol.Start,
        ready: protocol.Ready,
        *,
        publish: Callable[[protocol.LabelEvent], None] | None = None,
    ) -> None:
        """labels: of version `ready.version`. publish: gets each event too.

        Raises Unprocessable for settings of labels that the model does not have.
        """
        rate = ready.sample_rate
        settings = check_settings(start.event_settings, ready.labels)
        # Whole numbers at the model's rate; their seconds on the wire may have been rounded.
        hop = round(ready.hop * rate)
        self._detector = EventDetector(labels, settings, hop=hop, sample_rate=rate)
        self._grid = protocol.SampleGrid(client_rate=start.sample_rate, model_rate=rate)
        self.version = ready.version
        """Whose thresholds are used."""
        self._stream, self._source = ready.stream, start.source or ready.stream
        self._publish = publish

    def use(self, version: str, labels: Iterable[Label]) -> None:
        """Take the thresholds of another version from now on."""
        self.version = version
        self._detector.use(labels)

    def answered(self, window: protocol.Window) -> list[protocol.LabelEvent]:
        """Return what an answer begins and ends."""
        rate = self._grid.model_rate
        start, end = round(window.start * rate), round(window.end * rate)
        return self._messages(self._detector.feed(start, end, window.scores))

    def missed(self, to_sample: int) -> list[protocol.LabelEvent]:
        """Return what ends because there is no answer up to a sample of the client."""
        return self._messages(self._detector.skip(self._grid.to_model(to_sample)))

    def finish(self) -> list[protocol.LabelEvent]:
        """Return what lasts until the end of the stream."""
        return self._messages(self._detector.finish())

    def _messages(self, events: list[Event]) -> list[protocol.LabelEvent]:
        messages = [self._message(event) for event in events]
        if self._publish:
            for message in messages:
                self._publish(message)
        return messages

    def _message(self, event: Event) -> protocol.LabelEvent:
        return protocol.LabelEvent(
            id=f"{self._stream}-{event.number}",
            label=event.label,
            state=event.state,
            start=self._seconds(event.start),
            end=None if event.end is None else self._seconds(event.end),
            start_sample=self._grid.to_client(event.start),
            end_sample=None if event.end is None else self._grid.to_client(event.end),
            peak=event.peak,
            mean=event.mean,
            not_heard=self._seconds(event.not_heard),
            source=self._source,
            version=self.version,
        )

    def _seconds(self, samples: int) -> float:
        return round(samples / self._grid.model_rate, 6)
