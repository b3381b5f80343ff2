"""`timbre serve` as a process of its own, on a free port."""

import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@contextmanager
def server_process(*options):
    """Start a server, wait until it is ready, yield its address; it must exit with 0 in the end."""
    command = [BIN / "timbre", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    address = None
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            address = found[0]
        if "ready" in line:
            break
    # A pipe that nobody reads fills up, and then blocks the writer.
    reader = threading.Thread(target=process.stderr.read, daemon=True)
    reader.start()
    try:
        yield address
    finally:
        process.terminate()
        code = process.wait(60)
        reader.join(5)
        process.stderr.close()
    assert code == 0
