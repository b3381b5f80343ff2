"""What travels between a gateway and whatever runs the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from features.config import Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Job:
    """One tensor for one model."""

    id: str
    """Unique among the jobs of all gateways."""
    model: str
    version: str
    tensor: Tensor
    """Of exactly the shape and dtype that the model takes, without a batch axis."""
    deadline: float
    """time.monotonic() of this machine after which the answer is worth nothing."""
    live: bool
    """Live windows run before clips."""
    stream: str
    """Stream or request it belongs to; those that wait take turns."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class JobResult:
    """What a model gave for one job."""

    job_id: str
    scores: npt.NDArray[np.float32]
    """Shape (labels,)."""
    queue_ms: float
    """From being asked to the start of the model; in Redis, the way back as well."""
    model_ms: float
    """The model call that the job was part of."""


class JobQueue(Protocol):
    """Takes jobs to a model and answers back. Each `ask` ends in one answer or one error, never in neither."""

    @property
    def depth(self) -> int:
        """Jobs of this process that wait; those that have begun elsewhere may be among them."""

    @property
    def trouble(self) -> str:
        """Why no new work should be taken now; empty when all is well."""

    async def open(self) -> None:
        """Return once jobs are taken. Safe to call twice."""

    async def prepare(self, model: str, version: str) -> None:
        """Return when this version can be asked for without a wait. Raises ArtefactError when it cannot be had."""

    async def submit(self, job: Job) -> JobResult:
        """Return the answer. Cancelling withdraws the job. Raises Busy when full, Late past the deadline, Leaving."""

    async def close(self) -> None:
        """Answer what was accepted, then stop. New jobs raise Leaving from the moment of the call."""
