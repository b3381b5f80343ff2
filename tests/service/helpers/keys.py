"""API keys for tests, and a stream that is counted until it is closed."""

import contextlib

from service.auth.keys import create_key


def new_key(name="alice", **changes):
    """A key and its text."""
    return create_key(name, **{"scopes": ("classify",), "rate": 10.0, "streams": 2, **changes})


def key(*, rate=1_000.0, streams=10):
    return new_key(scopes=("classify", "stream"), rate=rate, streams=streams)[0]


async def opened(gateway, of):
    """Open a stream, to be closed by what is returned."""
    stack = contextlib.AsyncExitStack()
    await stack.enter_async_context(gateway.count_stream(of))
    return stack
