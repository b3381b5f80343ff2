"""A worker whose model doubles its input after a pause; one number kills its process."""

import os
import signal
import sys
import time

import uvloop

from service.lifecycle import on_stop_signal
from service.log import log
from service.queue.redis_consumer import RedisConsumer
from service.server.worker import Worker

POISON = 666.0


class Doubler:
    """Doubles after `seconds`."""

    def __init__(self, seconds):
        self.seconds = seconds

    def predict(self, batch):
        log("begins", jobs=len(batch))
        if (batch == POISON).any():
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        return batch * 2


async def main(url, seconds="0"):
    worker = Worker(
        RedisConsumer(url, name=f"w{os.getpid()}"),
        lambda *_: Doubler(float(seconds)),
        max_batch=8,
        heartbeat=lambda: None,
    )
    on_stop_signal(worker.shut_down, limit_s=60.0)
    log("worker ready")
    await worker.run()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
