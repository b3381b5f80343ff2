"""A proxy before a Redis on a Unix socket: counts round trips, and may delay every byte."""

import asyncio
from contextlib import asynccontextmanager, suppress


class RedisProxy:
    """Forwards; a round trip is a request that follows a response, or the first one."""

    def __init__(self, path):
        self._path = path
        self.delay_s = 0.0
        self.away = False
        """Whether each new connection is closed at once."""
        self.connections = 0
        self.round_trips = 0
        self._writers = set()

    async def handle(self, reader, writer):
        self.connections += 1
        if self.away:
            writer.transport.abort()
            return
        upstream, server = await asyncio.open_unix_connection(self._path)
        self._writers |= {writer, server}
        waiting = [True]  # for a request
        await asyncio.gather(
            self._pump(reader, server, waiting, up=True),
            self._pump(upstream, writer, waiting, up=False),
        )

    async def _pump(self, reader, writer, waiting, *, up):
        with suppress(OSError):
            while data := await reader.read(2**20):
                if up and waiting[0]:
                    self.round_trips += 1
                waiting[0] = not up
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    def close(self):
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def redis_proxied(url, folder):
    """Give a proxy in front of a Redis, and its own address."""
    proxy = RedisProxy(url.removeprefix("unix://"))
    listener = await asyncio.start_unix_server(proxy.handle, f"{folder}/proxy.sock")
    try:
        yield proxy, f"unix://{folder}/proxy.sock"
    finally:
        listener.close()
        proxy.close()
        await asyncio.sleep(0)
