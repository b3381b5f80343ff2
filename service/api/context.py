"""Typed keys of what the application holds."""

from __future__ import annotations

from aiohttp import web

from service.api.bodies import Buffers
from service.inference.decode_pool import Pool
from service.inference.gateway import Gateway

GATEWAY = web.AppKey("gateway", Gateway)
POOL = web.AppKey("pool", Pool)
BUFFERS = web.AppKey("buffers", Buffers)
