"""A file whose readers wait in the system, as on a disk or a device that does not answer."""

import fcntl
import signal
from contextlib import contextmanager


class Lease:
    """On a file; file servers have one on each file that a client keeps."""

    def __init__(self, file):
        self._file = file
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)

    @property
    def keeps_somebody(self):
        """Whether somebody waits who has opened the file."""
        return fcntl.fcntl(self._file, fcntl.F_GETLEASE) != fcntl.F_WRLCK


@contextmanager
def kept_waiting(path):
    """Whoever opens the file waits until the block ends, or 45 s; no other may have it open now."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # the system's notice
    try:
        with path.open("r+b") as file:
            yield Lease(file)
    finally:
        signal.signal(signal.SIGIO, before)
