"""The client of a server: `from service.client import Client`. Needs nothing but `service.protocol` and the errors."""

from service.client.client import Client

__all__ = ["Client"]
