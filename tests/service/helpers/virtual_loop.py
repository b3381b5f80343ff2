"""An event loop with a clock of its own: work takes the time that a test says, sleep takes none."""

import asyncio
import functools
import selectors


class _Selector(selectors.SelectSelector):
    loop = None

    def select(self, timeout=None):
        ready = super().select(timeout and 0)
        if not ready and timeout:
            self.loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where a real loop would wait for a timer, the clock jumps to it."""

    def __init__(self):
        self.now = 100.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        """Seconds of this clock."""
        return self.now

    def work(self, seconds):
        """Let time pass without the loop turning, as work in it does."""
        self.now += seconds


def on_virtual_loop(test):
    """Run an async test on a loop of this kind, given to it as `loop`."""

    @functools.wraps(test)
    def run():
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(test(runner.get_loop()))

    del run.__wrapped__  # pytest would look for a fixture `loop`
    return run
