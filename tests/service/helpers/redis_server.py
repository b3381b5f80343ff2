"""A private real redis-server on a socket of its own, stopped with the test."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import pytest
import redis

PROGRAM = os.environ.get("TIMBRE_REDIS_SERVER", "redis-server")
"""Any server that speaks as Redis does: `TIMBRE_REDIS_SERVER=/path/to/valkey-server make test`."""


class RedisServer:
    """A server that can be killed, restarted, paused and resumed."""

    def __init__(self, folder, *arguments, url=None):
        self.folder = folder
        self.url = url or f"unix://{folder}/redis.sock"
        self.client = redis.Redis.from_url(self.url, protocol=2)
        self._arguments = [
            "--save",
            "",
            "--port",
            "0",
            "--dir",
            folder,
            "--unixsocket",
            f"{folder}/redis.sock",
        ]
        self._arguments += arguments
        self.start()

    def start(self):
        command = [PROGRAM, *map(str, self._arguments)]  # the last of two equal options counts
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(redis.ConnectionError):
                self.client.ping()
                return
            time.sleep(0.01)
        self.kill()
        raise TimeoutError("redis-server does not come up")

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.client.close()
        self.process.send_signal(signal.SIGCONT)
        self.kill()


def start_redis(tmp_path_factory, *arguments, url=None):
    """Start a redis-server; skip the test where it is not installed."""
    if not shutil.which(PROGRAM):
        pytest.skip(f"no {PROGRAM} on this machine: run 'apt-get install redis-server'")
    return RedisServer(tmp_path_factory.mktemp("redis"), *arguments, url=url)
