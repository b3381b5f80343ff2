"""A server in this process, for a monitor that is given none."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from service.api.context import GATEWAY
from service.app import build
from service.server.connections import runner
from service.settings import Settings


@asynccontextmanager
async def local_server(artefacts: str) -> AsyncIterator[str]:
    """Serve on a free port of loopback while the block runs; yield the URL once it is ready.

    artefacts: folder of models; empty: the shipped ones. Raises TimbreError if none can be served.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        options: dict[str, Any] = {"artefacts": Path(artefacts)} if artefacts else {}
        settings = Settings(port=port, **options)
        app = build(settings)
        running = runner(app, settings, shutdown_s=1.0)
        await running.setup()
        try:
            await app[GATEWAY].opening
            await web.SockSite(running, listener).start()
            yield f"http://127.0.0.1:{port}"
        finally:
            await running.cleanup()
