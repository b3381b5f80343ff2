"""What every peer that is timed by turns does: say that it is ready, then time blocks of calls."""

import json
import sys
import time


def serve(call, **about):
    """Print what it is; for each line `calls argument ...`, ms of processor time of each call."""
    tell(about)
    for line in sys.stdin:
        calls, *arguments = map(int, line.split())
        call(*arguments)
        times = []
        for _ in range(calls):
            begin = time.process_time()
            call(*arguments)
            times.append(1_000 * (time.process_time() - begin))
        tell(times)


def tell(value):
    print("timed:", json.dumps(value), flush=True)
