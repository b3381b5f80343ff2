"""A TCP proxy that can be cut, counted and closed: the network between a client and a server."""

import asyncio
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Forwards to one server, unless it is set to reject."""

    def __init__(self, port):
        self.port = port
        self.connections = 0
        self.bytes_up = 0
        self.refusing = False
        self._writers = set()

    @property
    def connected(self):
        """Whether a connection is open."""
        return bool(self._writers)

    def cut(self):
        """Abort every connection, as a pulled cable or a killed process does."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def handle(self, reader, writer):
        self.connections += 1
        try:
            if self.refusing:
                raise ConnectionRefusedError
            upstream, server = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, server}
        self._writers |= pair
        await asyncio.gather(
            self._pump(reader, server, up=True), self._pump(upstream, writer, up=False)
        )
        self._writers -= pair
        for each in pair:
            each.close()

    async def _pump(self, reader, writer, *, up):
        with suppress(OSError):
            while data := await reader.read(65_536):
                self.bytes_up += len(data) if up else 0
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def proxied(url):
    """Give a proxy in front of a server, and its own address."""
    proxy = Proxy(int(url.rsplit(":", 1)[1]))
    listener = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    try:
        yield proxy, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        proxy.cut()
        await asyncio.sleep(0)
