#!/usr/bin/env python3
"""Run an image's unpacked root as `docker run --read-only` would: `tools/container` calls it.

    container_run.py ROOT INSPECTED     the folder, and what `buildah inspect` prints of the image

Its own user without rights, a root that cannot be written to, a tmpfs for each volume; the network
is this machine's. Prints seconds to ready and memory; fails unless the image's own health check
passes, a sound is classified, nothing can be written, and it ends with 0 within its grace.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.server_process import free_port

ENTER = """
set -e
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev"
for volume in /tmp $3; do mount -t tmpfs -o mode=1777 tmpfs "$1$volume"; done
root=$1 user=$2; shift 3
exec chroot --userspec="$user" "$root" "$@"
"""
PROBE = "touch /opt/timbre/x 2>/dev/null && exit 9; exec "
CLASSIFY = """
import io, json, urllib.request as r, wave
file = io.BytesIO()
with wave.open(file, "wb") as out:
    out.setparams((1, 2, 22050, 0, "NONE", "")); out.writeframes(bytes(2 * 22050 * 3))
url = "http://127.0.0.1:PORT/v1/models/instruments/classify"
print(len(json.load(r.urlopen(r.Request(url, file.getvalue(), method="POST")))["windows"]))
"""


def main(root: str, inspected: str) -> int:
    """Return the exit code."""
    config, port = json.loads(inspected)["Docker"]["config"], free_port()
    if not Path(root, config["WorkingDir"].lstrip("/")).is_dir():
        raise SystemExit("the working folder is missing in the image")
    command = [*config["Entrypoint"], *config["Cmd"], "--port", str(port), "--insecure"]
    environment = ["/usr/bin/env", "-i", "-C", config["WorkingDir"], *config["Env"]]
    shell = ["sh", "-c", f'{PROBE}"$@"', "sh", *command]
    enter = [root, config["User"], " ".join(config["Volumes"]), *environment, *shell]
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    since = time.monotonic()
    process = subprocess.Popen([*namespaces, "sh", "-c", ENTER, "sh", *enter])
    inside = ["chroot", f"--userspec={config['User']}", root, *environment]
    health = [word.replace(":8000/", f":{port}/") for word in config["Healthcheck"]["Test"][1:]]
    try:
        while subprocess.run([*inside, *health], capture_output=True, check=False).returncode:
            if process.poll() is not None or time.monotonic() - since > 120:
                raise SystemExit("it does not become ready")
        seconds = time.monotonic() - since
        server = _child(process.pid)
        asked = [*inside, "python", "-c", CLASSIFY.replace("PORT", str(port))]
        windows = subprocess.run(asked, capture_output=True, check=True, text=True).stdout.strip()
        memory = f"{_resident_mib(server)} MiB resident"
        sys.stdout.write(f"ready in {seconds:.1f} s, {memory}, {windows} windows classified\n")
        os.kill(server, signal.SIGTERM)
        return process.wait(20)
    finally:
        process.kill()
        process.wait()


def _child(pid: int) -> int:
    """Return the last descendant of a process, the server."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return _child(int(children[0])) if children else pid


def _resident_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))
