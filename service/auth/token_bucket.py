"""A token bucket: a rate of requests per second, and as many at once. Pure.

`redis_limits.py` has the same in Lua.
"""

from __future__ import annotations

import math


def take_token(tokens: float, since: float, *, now: float, rate: float) -> tuple[float, int]:
    """Return the tokens left at `now`, and 0 or the seconds until there will be a token.

    tokens: of the bucket at `since`, seconds; math.inf fills it. rate: tokens per second; the
    bucket holds as many, and at least one.
    """
    tokens = min(max(1.0, rate), tokens + (now - since) * rate)
    if tokens < 1:
        return tokens, math.ceil((1 - tokens) / rate)
    return tokens - 1, 0
