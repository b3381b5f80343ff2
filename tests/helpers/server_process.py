"""`timbre serve` as a process of its own, on a free port."""

import re
import socket
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
        if address and "ready" in line:  # a worker is ready sooner
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


def free_port():
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def killable_server(artefacts, port):
    """A server of these models on a port, ready, to be killed; killed in the end."""
    command = [BIN / "timbre", "serve", "--port", str(port), "--artefacts", str(artefacts)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    for line in process.stderr:
        if "ready" in line:
            break
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
