"""The Python client: `from service.client import Client`."""

from service.client.client import Client

__all__ = ["Client"]
