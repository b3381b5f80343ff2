"""Shows in the metrics which versions a process serves, and on what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from models.store import Model
from service import protocol
from service.inference.job_counter import KINDS
from service.metrics.metrics import Metrics


def show_models(metrics: Metrics, models: Iterable[Model]) -> None:
    """Show these versions and no others; what is counted of them is shown from now on."""
    metrics.model_info.clear()
    for model in models:
        metrics.model_info.set(1.0, model.name, model.version, model.session.provider)
        metrics.batch_size.expect(model.name)
        for kind in KINDS.values():
            metrics.queue_jobs.expect(model.name, kind)
            metrics.queue_oldest.expect(model.name, kind)
        if model.input.medium == "sound":
            metrics.windows.expect(model.name)
            metrics.streams.expect(model.name)
            for reason in get_args(protocol.DropReason):
                metrics.dropped_windows.expect(model.name, reason)
