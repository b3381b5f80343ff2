"""What a request of the Open Inference Protocol asks for beside its tensors. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import InputError

HIGHEST = 1
"""The priority that is more than the default; 0 is the default, others are as 0."""
MAX_INTEGER = 2**64 - 1


@dataclass(frozen=True)
class InferParameters:
    """The parameters of a request; sequences have none that matter, as no model keeps a state."""

    timeout_s: float | None = None
    """Seconds until the result must be there; None: those of the server."""
    urgent: bool = False
    """Whether it runs with the live windows, before clips."""


def read_parameters(values: Mapping[str, object]) -> InferParameters:
    """Return the parameters that are known here; others are ignored, as the protocol wants it.

    Raises InputError for a `timeout` (microseconds) or `priority` that is no whole number.
    """
    timeout = _integer(values, "timeout")
    priority = _integer(values, "priority")
    return InferParameters(timeout_s=timeout / 1e6 if timeout else None, urgent=priority == HIGHEST)


def _integer(values: Mapping[str, object], name: str) -> int:
    value = values.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_INTEGER:
        raise InputError(f"{name}={value!r:.80} must be a whole number between 0 and {MAX_INTEGER}")
    return value
