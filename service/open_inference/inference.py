"""The Open Inference Protocol without its transport: models looked up, tensors inferred."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as version_of

import numpy as np
import numpy.typing as npt

from common.errors import TimbreError
from features.config import Tensor
from models.store import Model
from service.inference.decode_pool import DecodePool
from service.inference.gateway import Gateway, check_scores
from service.open_inference import descriptions
from service.open_inference.descriptions import Document
from service.open_inference.parameters import InferParameters
from service.open_inference.statistics import RequestCount, Statistics


class OpenInference:
    """What every transport of the protocol does; each reads and writes its own bytes."""

    def __init__(self, gateway: Gateway, pool: DecodePool) -> None:
        self.gateway = gateway
        self._pool = pool
        self._statistics = Statistics(gateway.metrics)

    @property
    def max_rows(self) -> int:
        """Rows that one request may have."""
        return self.gateway.settings.max_windows

    async def model(self, name: str, version: str = "") -> Model:
        """Return a model, loaded if needed; without a version, the current one.

        Raises NotFound, Busy, Late, ArtefactError.
        """
        return await self.gateway.registry.get(name, version or None)

    async def is_ready(self, name: str, version: str = "") -> bool:
        """Return whether a model, loaded if needed, takes requests; none does that is not there."""
        try:
            self.gateway.check_ready()
            await self.model(name, version)
        except TimbreError:
            return False
        return True

    def server_metadata(self) -> Document:
        """Return what the server is."""
        return descriptions.server_metadata(version_of("timbre"))

    async def model_metadata(self, name: str, version: str = "") -> Document:
        """Return the inputs, outputs, labels and versions of a model. Raises as `model` does."""
        model = await self.model(name, version)
        registry = self.gateway.registry
        versions = await asyncio.to_thread(descriptions.usable_versions, registry, name)
        return descriptions.model_metadata(model, [version] if version else versions)

    async def model_config(self, name: str, version: str = "") -> Document:
        """Return a model as Triton's ModelConfig. Raises as `model` does."""
        return descriptions.model_config(
            await self.model(name, version),
            max_rows=self.max_rows,
            max_batch=self.gateway.settings.max_batch,
        )

    async def index(self, *, ready: bool = False) -> list[Document]:
        """Return every version of every model; ready: those that requests may name only."""
        registry = self.gateway.registry
        return await asyncio.to_thread(descriptions.repository_index, registry, ready=ready)

    async def statistics(self, name: str = "", version: str = "") -> list[Document]:
        """Return the statistics of a version, of a model or of all. Raises as `model` does."""
        registry = self.gateway.registry
        if version:
            models = [await self.model(name, version)]
        else:
            models = [registry.find(name)] if name else registry.models
        wanted = [(model.name, model.version) for model in models]
        return await asyncio.to_thread(self._statistics.describe, wanted)

    async def load(self, name: str) -> Document:
        """Serve the latest version of a model. Raises NotFound, Refused."""
        return await self.gateway.updater.load(name)

    async def unload(self, name: str) -> Document:
        """Serve a model no more, until it is loaded. Raises NotFound."""
        return await self.gateway.updater.unload(name)

    @contextmanager
    def request(self, model: Model) -> Iterator[RequestCount]:
        """Count a request in the statistics, whatever becomes of it.

        Its time counts from here, or from `restart` of what is given, once its body has arrived.
        Raises Busy when the model is overloaded.
        """
        with self._statistics.request(model.name, model.version) as count:
            self.gateway.check_clip_load(model)
            yield count

    async def infer(
        self, model: Model, tensor: Tensor, parameters: InferParameters, count: RequestCount
    ) -> npt.NDArray[np.float32]:
        """Return the scores (rows, labels) of a tensor (rows, *shape), as checked by `tensors`.

        Each row is a job, batched with those of streams, clips and other requests. Cancelling
        withdraws them. Raises Busy, Late, Leaving, and TimbreError for scores that are no numbers.
        """
        deadline = count.begin + self.limit_s(parameters)
        if not parameters.urgent:
            self.gateway.check_wait(model, deadline=deadline)
        # Each job ends at the deadline.
        results = await self.gateway.infer_all(
            model, tensor, deadline=deadline, live=parameters.urgent
        )
        for result in results:
            check_scores(model, result.scores)
        count.rows = len(results)
        count.add("queue", max(result.queue_ms for result in results) / 1e3)
        count.add("compute_infer", max(result.model_ms for result in results) / 1e3)
        return np.stack([result.scores for result in results])

    def limit_s(self, parameters: InferParameters) -> float:
        """Return the seconds until the scores must be there."""
        limit = self.gateway.settings.clip_deadline
        return limit if parameters.timeout_s is None else min(limit, parameters.timeout_s)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count a request in flight, as of a clip, before its body is read.

        Raises Busy, Leaving when none is accepted.
        """
        with self.gateway.working(), self._pool.admit():
            yield
