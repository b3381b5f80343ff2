"""What the tests of both kinds of counts need: a key, and a stream that is counted."""

import contextlib

from service.auth.keys import create_key


def key(*, rate=1_000.0, streams=10):
    return create_key("someone", scopes=("classify", "stream"), rate=rate, streams=streams)[0]


async def opened(gateway, of):
    """Open a stream, to be closed by what is returned."""
    stack = contextlib.AsyncExitStack()
    await stack.enter_async_context(gateway.streaming(of))
    return stack
