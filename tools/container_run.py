#!/usr/bin/env python3
"""Run an image's unpacked root as `docker run --read-only` would: `tools/container` calls it.

    container_run.py ROOT INSPECTED [--base TAR] [--json FILE]

ROOT: the folder; INSPECTED: what `buildah inspect` prints of the image; TAR: what it is made from.

Its own user without rights, a root that cannot be written to, a tmpfs for each volume; the network
is this machine's. Prints seconds to ready and memory; fails unless the image's own health check
passes, a sound is classified, nothing can be written, and it ends with 0 within its grace.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import measure
from benchmarks.reporting import results, tables
from tests.helpers.server_process import free_port
from tools.package import size_mib

WRITABLE = 9
"""Exit code where root itself can write to the image."""
GRACE_S = 20
ENTER = """
set -e
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"
if touch "$1/opt/timbre/x" 2>/dev/null; then exit WRITABLE; fi
mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev"
for volume in /tmp $3; do mount -t tmpfs -o mode=1777 tmpfs "$1$volume"; done
root=$1 user=$2; shift 3
exec chroot --userspec="$user" "$root" "$@"
""".replace("WRITABLE", str(WRITABLE))
CLASSIFY = """
import io, json, urllib.request as r, wave
file = io.BytesIO()
with wave.open(file, "wb") as out:
    out.setparams((1, 2, 22050, 0, "NONE", "")); out.writeframes(bytes(2 * 22050 * 3))
url = "http://127.0.0.1:PORT/v1/models/instruments/classify"
print(len(json.load(r.urlopen(r.Request(url, file.getvalue(), method="POST")))["windows"]))
"""


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="container_run.py", description=__doc__)
    parser.add_argument("root")
    parser.add_argument("inspected")
    parser.add_argument("--base", type=Path)
    results.add_option(parser)
    given = parser.parse_args(arguments)
    results.check_option(parser, given.json)
    before = measure.machine()
    note = tried(given.root, given.inspected)
    report = results.document(
        "container",
        command="sudo make container",
        settings={},
        rows=sizes(Path(given.root), given.base),
        machine=before,
        note=note,
    )
    tables.publish(given.json, report)
    return 0


def sizes(root: Path, base: Path | None) -> list[dict[str, object]]:
    """Return what the image and its parts take, in MiB."""
    parts = {"base": base, "Python and its packages": root / "opt" / "timbre", "whole image": root}
    return [
        {"what": name, "mib": size_mib(path)} for name, path in parts.items() if path is not None
    ]


def tried(root: str, inspected: str) -> str:
    """Run the image and return what it took. Raises SystemExit if it fails."""
    config, port = json.loads(inspected)["Docker"]["config"], free_port()
    if not Path(root, config["WorkingDir"].lstrip("/")).is_dir():
        raise SystemExit("the working folder is missing in the image")
    command = [*config["Entrypoint"], *config["Cmd"], "--port", str(port), "--insecure"]
    environment = ["/usr/bin/env", "-i", "-C", config["WorkingDir"], *config["Env"]]
    enter = [root, config["User"], " ".join(config["Volumes"]), *environment, *command]
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    since = time.monotonic()
    process = subprocess.Popen([*namespaces, "sh", "-c", ENTER, "sh", *enter])
    inside = ["chroot", f"--userspec={config['User']}", root, *environment]
    health = [word.replace(":8000/", f":{port}/") for word in config["Healthcheck"]["Test"][1:]]
    try:
        while subprocess.run([*inside, *health], capture_output=True, check=False).returncode:
            if process.poll() is not None or time.monotonic() - since > 120:
                raise SystemExit(why_not(process.returncode))
        seconds = time.monotonic() - since
        server = _child(process.pid)
        asked = [*inside, "python", "-c", CLASSIFY.replace("PORT", str(port))]
        windows = subprocess.run(asked, capture_output=True, check=True, text=True).stdout.strip()
        note = (
            f"The server with all models was ready after {seconds:.1f} s, took "
            f"{_resident_mib(server)} MiB and classified {windows} windows."
        )
        os.kill(server, signal.SIGTERM)
        if code := ended(process):
            raise SystemExit(f"it ends with {code}, not with 0")
        return note
    finally:
        process.kill()
        process.wait()


def why_not(code: int | None) -> str:
    """Return why it does not become ready. code: with which it has ended; None: it has not."""
    if code == WRITABLE:
        return "the root can be written to"
    return "it does not become ready" + ("" if code is None else f": it has ended with {code}")


def ended(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of what was told to end. Raises SystemExit if it does not."""
    try:
        return process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"it does not end within {GRACE_S} s") from None


def _child(pid: int) -> int:
    """Return the last descendant of a process, the server."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return _child(int(children[0])) if children else pid


def _resident_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
