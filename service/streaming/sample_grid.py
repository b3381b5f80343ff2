"""Sample positions at the client's rate and at the model's, in whole numbers: nothing drifts. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SampleGrid:
    """Turns positions of one rate into those of the other."""

    client_rate: int
    """Hertz."""
    model_rate: int
    """Hertz."""

    def to_client(self, position: int) -> int:
        """Return the client's sample nearest to a sample of the model's rate (half rounds up)."""
        return (2 * position * self.client_rate + self.model_rate) // (2 * self.model_rate)

    def to_model(self, position: int) -> int:
        """Return the first sample of the model's rate that `to_client` does not put before `position`.

        So a client that begins again at a window's `start_sample` gets that window.
        """
        return max(0, -(-(self.model_rate * (2 * position - 1)) // (2 * self.client_rate)))

    def nearest(self, position: int) -> int:
        """Return the sample of the model's rate nearest to a client's sample (half rounds up)."""
        return (2 * position * self.model_rate + self.client_rate) // (2 * self.client_rate)
