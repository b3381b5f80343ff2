"""The configuration for haproxy: read by haproxy itself, its times in line with the settings.

`make cluster` runs it before three gateways.
"""

import re
import shutil
import subprocess

import pytest

from benchmarks.cluster.network import LAN
from service.settings import Settings
from tests.helpers.server_process import ROOT

FILE = ROOT / "deploy" / "haproxy" / "timbre.cfg"
TEXT = FILE.read_text("utf-8")
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")


def seconds(name):
    return int(re.search(rf"timeout {name}\s+(\d+)s", TEXT)[1])


def test_haproxy_finds_no_fault_in_it():
    if not HAPROXY:
        pytest.skip("no haproxy on this machine")
    told = subprocess.run([HAPROXY, "-c", "-f", FILE], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "WARNING" not in told.stderr


def test_a_quiet_stream_and_a_slow_request_outlive_the_time_limits():
    settings = Settings()
    assert seconds("tunnel") > settings.heartbeat + settings.send_timeout
    assert seconds("server") > max(settings.clip_deadline, settings.body_timeout)
    assert seconds("client") >= settings.head_timeout


def test_its_gateways_are_those_of_the_cluster():
    named = re.findall(r"server gateway-\d (\S+):8000", TEXT)
    assert named == [f"{LAN}.{10 + n}" for n in (1, 2, 3)]
