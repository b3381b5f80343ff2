"""What travels between a gateway and what runs the models, and the contract of a queue.

A back end is two classes: a `JobQueue` for gateways and a `JobConsumer` for workers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from common.errors import Busy, Late, TimbreError
from features.config import Tensor
from service.tracing.spans import Span

HEARTBEAT_S = 0.5
"""How often a worker sends a heartbeat and reclaims jobs of dead workers."""
HANG_S = 20.0
"""A model that runs for so long past the deadlines of its jobs hangs."""
SHUTTING_DOWN = "the queue is shutting down"
REPLACED = "replaced by a newer window"
"""In a full queue."""
OVERTAKEN = "overtaken by a newer window"
"""In a queue so slow that the job was stale."""


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
    """time.monotonic() of this machine after which the result has expired."""
    live: bool
    """Live windows run before clips."""
    stream: str
    """Stream or request it belongs to; pending jobs are served round-robin by it."""
    trace: Span | None = None
    """Its span in the process that submits it; None: not traced."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class JobResult:
    """What a model gave for one job."""

    job_id: str
    scores: npt.NDArray[np.float32]
    """Shape (labels,)."""
    queue_ms: float
    """From submission to the model call; with Redis, the time that the reply takes is included."""
    model_ms: float
    """The model call that the job was part of."""


def queue_full(pending: int, *, model: str = "") -> Busy:
    """Return the error of a job that a full queue rejects.

    model: whose jobs are pending, if each model has a queue of its own.
    """
    of_model = f" for {model!r}" if model else ""
    return Busy(f"the queue is full: {pending} jobs are pending{of_model}")


def wait_too_long(why: str, *, wait_s: float, left_s: float) -> Busy:
    """Return the error of a job that would wait past its deadline. why: begins its message."""
    return Busy(
        f"{why}: the wait would be about {wait_s:.0f} s, and {left_s:.0f} s are left",
        retry_after=max(1, math.ceil(wait_s - left_s)),
    )


def submitted_late() -> Late:
    """Return the error for a job whose deadline has passed when it is submitted."""
    return Late("the deadline passed before the job was submitted")


def no_result(job: Job) -> Late:
    """Return the error of a job whose deadline passed before its result."""
    return Late(f"no answer from {job.model!r} within the deadline")


class JobQueue(Protocol):
    """The gateway's side. Each `submit` ends in exactly one result or error."""

    @property
    def depth(self) -> int:
        """Pending jobs of this process; jobs that run elsewhere may be among them."""

    @property
    def unavailable(self) -> str:
        """Why no new jobs should be submitted now; empty while the queue is healthy."""

    @property
    def overdue_s(self) -> float:
        """How long a model of this process runs past the deadlines of its jobs; 0: none does."""

    def congested(self, model: str) -> bool:
        """Return whether so many live jobs are pending that another should not be made yet."""

    def clip_wait_s(self, model: str) -> float:
        """Return about how long a clip submitted now would wait; 0 while nothing is known."""

    async def open(self) -> None:
        """Return once the queue accepts jobs. Safe to call twice."""

    async def prepare(self, model: str, version: str) -> None:
        """Return when this version runs without waiting for a load.

        Raises ArtefactError when it cannot be loaded; Busy when that is not known now.
        """

    async def submit(self, job: Job) -> JobResult:
        """Return the result. Cancelling withdraws the job.

        Raises Busy when the queue is full, Late past the deadline, Leaving after `close`, and what
        the model raised.
        """

    async def close(self) -> None:
        """Finish accepted jobs, then stop. `submit` raises Leaving from the moment of the call."""


def hung(queue: JobQueue) -> str:
    """Return why a gateway should be restarted: a model of its own never returns; else empty."""
    late_s = queue.overdue_s
    return f"a model has run {late_s:.0f} s past its deadline: it hangs" if late_s > HANG_S else ""


class Reply(NamedTuple):
    """The outcome of a job, as a worker gives it."""

    job_id: str
    result: npt.NDArray[np.float32] | TimbreError
    """Scores, shape (labels,), or why there are none."""
    model_ms: float


class ClaimedJob(NamedTuple):
    """A job that this worker has claimed: no other worker runs it while heartbeats name it."""

    job: Job
    reply_to: str
    """Name of the gateway that waits for the reply."""
    receipt: Any
    """What the back end needs to complete the job."""
    traceparent: str = ""
    """What came with the job, unread; empty: not traced."""


class Maintenance(NamedTuple):
    """What a worker learns from its regular maintenance."""

    requested: set[str]
    """Versions that gateways request, as NAME:VERSION."""
    reclaimed: ClaimedJob | None
    """A job of a worker that died, as from `reclaim`."""


class JobConsumer(Protocol):
    """One worker's side. A job is claimed, kept by heartbeats, and completed with its reply.

    A job whose worker has sent no heartbeat for a while is reclaimed by another worker; one that
    was claimed too often goes to the dead letters, and its gateway gets Failed.
    """

    connection_errors: tuple[type[Exception], ...]
    """What every method but `close` raises while the back end cannot be reached."""

    async def open(self) -> None:
        """Register this worker. Safe to call again, also when the back end has lost its data."""

    async def claim(self, count: int, *, wait_s: float) -> list[ClaimedJob]:
        """Return up to `count` live jobs, then up to `count` clips.

        Waits up to `wait_s` seconds for the first job. Clips wait while there are more live jobs
        than `count`.
        """

    async def complete(self, claimed: Collection[ClaimedJob], replies: Iterable[Reply]) -> None:
        """Send the replies and remove the jobs, all or nothing. A late job may have no reply."""

    async def heartbeat(self, claimed: Iterable[ClaimedJob]) -> None:
        """Show that this worker is alive and extend its claims."""

    async def maintain(self, loaded: Iterable[str]) -> Maintenance:
        """Send a heartbeat and what `Maintenance` needs, and unregister workers dead for long.

        loaded: the versions this worker has loaded, as NAME:VERSION. As `reclaim`, to be run alone.
        """

    async def reclaim(self) -> ClaimedJob | None:
        """Claim one job of a worker that died; None when there is none.

        One at a time, and to be run alone: a job that crashes its worker must not take others
        along.
        """

    async def close(self) -> None:
        """Unregister this worker. Its claimed jobs are reclaimed by others. Never raises."""
