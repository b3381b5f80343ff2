"""Typed keys of what the application holds."""

from __future__ import annotations

from aiohttp import web

from service.api.bodies import BodyBudget
from service.inference.decode_pool import DecodePool
from service.inference.gateway import Gateway

GATEWAY = web.AppKey("gateway", Gateway)
POOL = web.AppKey("pool", DecodePool)
BUFFERS = web.AppKey("buffers", BodyBudget)
