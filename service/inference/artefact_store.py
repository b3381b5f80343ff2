"""The store of artefacts as the settings have it, for gateways and workers."""

from __future__ import annotations

from models.providers import Providers, read_names
from models.store import Store
from service.log import log
from service.settings import Settings


def open_store(settings: Settings) -> Store:
    """Return the store; providers that are not used, and engines that are built, are logged."""
    providers = Providers(
        names=read_names(settings.providers),
        engine_timeout=settings.engine_timeout,
        low_memory=settings.low_memory,
        max_batch=settings.max_batch,
        report=log,
    )
    return Store(settings.artefacts, load_timeout=settings.load_timeout, providers=providers)
