"""Trainings whose program is a few lines of Python, and whose processes are real."""

import sys
import time

from service.trainings.folder import COLLECTIONS, new_id, now, write_json
from service.trainings.process import identity
from service.trainings.record import REQUEST

FOREVER = "import time; print('at work', flush=True); time.sleep(600)"


_last = [""]


def later_id():
    """An id after all before it: those of one millisecond are in no order."""
    while (found := new_id()).rpartition("-")[0] <= _last[0]:
        time.sleep(0.001)
    _last[0] = found.rpartition("-")[0]
    return found


def queued(folder, code, *, limit_s=600.0, id_=None):
    """Accept a training below a folder, as a server has done it; return its folder.

    One that is queued later has a later id.
    """
    path = folder / (id_ or later_id())
    path.mkdir(parents=True)
    request = {
        "recipe": "sounds",
        "settings": {},
        "name": None,
        "time": now(),
        "client": "test",
        "command": [sys.executable, "-c", code],
        "folder": str(folder if not (folder / COLLECTIONS).is_dir() else folder / COLLECTIONS),
        "environment": {"PYTHONUNBUFFERED": "1"},
        "limit_s": limit_s,
    }
    write_json(path / REQUEST, request)
    return path


def is_alive(pid):
    """Whether a process runs, and is no zombie."""
    return identity(pid) != ""


def wait_until_gone(pid, *, seconds=300):
    """Wait for the end of a process that is no child of this one."""
    end = time.monotonic() + seconds
    while is_alive(pid):
        assert time.monotonic() < end, pid
        time.sleep(0.01)
