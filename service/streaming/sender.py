"""Tells a client, in order, what became of each window of its stream."""

from __future__ import annotations

import asyncio
import time

from common.errors import Busy, Late
from features.config import Tensor
from service import protocol
from service.inference.gateway import Gateway, Prediction
from service.streaming.accounting import SampleAccount
from service.streaming.connection import Connection
from service.streaming.outbox import Outbox, PendingWindow
from service.streaming.windower import Gap, LiveWindow

RETRY_PAUSE = 0.05
"""Seconds before a full queue is asked again."""


class Sender:
    """Takes windows from the waiting room, one at a time, to the model and the answers to the client."""

    def __init__(
        self, gateway: Gateway, *, stream: str, complete: bool, ledger: SampleAccount
    ) -> None:
        """complete: no window is dropped because the server is busy; the client is slowed down instead."""
        self._gateway = gateway
        self._stream = stream
        self._complete = complete
        self._ledger = ledger

    def ask_ahead(self, waiting: PendingWindow) -> asyncio.Task[Prediction] | None:
        """Begin to ask for a window before its turn to be told. A stream that must not lose any asks one by one."""
        what = waiting.what
        if self._complete or not isinstance(what, LiveWindow) or what.tensor is None:
            return None
        return asyncio.create_task(self._ask(what.tensor, waiting))

    async def run(self, room: Outbox, channel: Connection) -> None:
        """Tell all until the room is closed and empty. Raises Gone, or what the model raises."""
        while (waiting := await room.take()) is not None:
            await channel.send(await self._message(waiting))

    async def _message(self, waiting: PendingWindow) -> protocol.ServerMessage:
        what = waiting.what
        if isinstance(what, protocol.Warn):
            return what
        if isinstance(what, Gap):
            return protocol.Dropped(
                from_sample=what.start_sample, to_sample=what.end_sample, reason="gap"
            )
        if waiting.dropped or what.tensor is None:
            return self._drop(what, "overload")
        try:
            verdict = await self._verdict(what.tensor, waiting)
        except Busy:
            return self._drop(what, "overload")
        except Late:
            return self._drop(what, "late")
        return self._window(what, waiting, verdict)

    async def _verdict(self, tensor: Tensor, waiting: PendingWindow) -> Prediction:
        """Return what the model says, asked for now if not before. Raises as `_ask` does."""
        verdict = await (waiting.asking or self._ask(tensor, waiting))
        if (
            not self._complete
            and time.monotonic() > waiting.arrived + self._gateway.settings.window_deadline
        ):
            raise Late("the answer came in time, but the event loop was late")
        return verdict

    async def _ask(self, tensor: Tensor, waiting: PendingWindow) -> Prediction:
        """Return what the model says. Raises Late, and Busy unless the client wants every window."""
        settings, model = self._gateway.settings, waiting.model
        assert model is not None  # it was cut for one
        while True:
            now = time.monotonic()
            deadline = (
                now + settings.clip_deadline
                if self._complete
                else waiting.arrived + settings.window_deadline
            )
            try:
                return await self._gateway.infer(
                    model, tensor, deadline=deadline, live=True, stream=self._stream
                )
            except Busy:
                if not self._complete:
                    raise
                await asyncio.sleep(RETRY_PAUSE)

    def _drop(self, cut: LiveWindow, reason: protocol.DropReason) -> protocol.Dropped:
        self._ledger.drop(cut.start_sample, cut.end_sample)
        return protocol.Dropped(
            from_sample=cut.start_sample, to_sample=cut.end_sample, reason=reason
        )

    def _window(
        self, cut: LiveWindow, waiting: PendingWindow, verdict: Prediction
    ) -> protocol.Window:
        self._ledger.answer(cut.start_sample, cut.end_sample)
        assert waiting.model is not None  # it answered
        rate = waiting.model.sound[0].sample_rate
        return protocol.Window(
            start=round(cut.start / rate, 6),
            end=round(cut.end / rate, 6),
            start_sample=cut.start_sample,
            end_sample=cut.end_sample,
            scores=verdict.scores,
            labels=verdict.labels,
            version=verdict.version,
            age_ms=protocol.Age(
                total=round(1e3 * (time.monotonic() - waiting.arrived), 3),
                features=round(waiting.features_ms, 3),
                queue=round(verdict.queue_ms, 3),
                model=round(verdict.model_ms, 3),
            ),
        )
