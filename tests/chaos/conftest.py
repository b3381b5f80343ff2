"""Real processes to be harmed. ROUNDS=20 in the environment runs every test so many times: `make chaos`."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from tests.service.conftest import artefacts, redis_server, redis_url, serve  # noqa: F401 - fixtures
from tests.service.redisserver import start_redis

ROUNDS = int(os.environ.get("ROUNDS", "1"))
LONG = ROUNDS > 1


def pytest_generate_tests(metafunc):
    if LONG:
        metafunc.fixturenames.append("round_number")
        metafunc.parametrize("round_number", range(ROUNDS))


class Victim:
    """A process of ours and its log so far."""

    def __init__(self, *command):
        self.process = subprocess.Popen([sys.executable, *map(str, command)], stderr=subprocess.PIPE, text=True)
        self.log = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self._changed:
                self.log.append(line)
                self._changed.notify_all()

    def until(self, pattern, *, times=1, seconds=40):
        """Wait until the log has held a pattern so many times; return the matches."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(self.find(pattern)) >= times, seconds)
        assert found, "".join(self.log)
        return self.find(pattern)

    def find(self, pattern):
        return [match for line in self.log if (match := re.search(pattern, line))]

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        """Let it go on if it was stopped, tell it to leave; return its exit code."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.kill()
            self._reader.join(5)
            self.process.stderr.close()


@pytest.fixture
def victim():
    """Start processes; they end with the test."""
    started = []

    def start(*command):
        started.append(Victim(*command))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def own_redis(tmp_path_factory):
    """A redis-server that may be harmed."""
    server = start_redis(tmp_path_factory)
    yield server
    server.end()
