"""Typed keys of the application's objects."""

from __future__ import annotations

from aiohttp import web

from common.budget import Budget
from service.inference.decode_pool import DecodePool
from service.inference.gateway import Gateway

GATEWAY = web.AppKey("gateway", Gateway)
POOL = web.AppKey("pool", DecodePool)
BODY_BUDGET = web.AppKey("body_budget", Budget)
