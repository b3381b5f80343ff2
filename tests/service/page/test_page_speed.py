"""The figures of the page's speed are taken from a real server and browser."""

import json
import subprocess
import sys

import pytest

from tests.helpers.server_process import ROOT


@pytest.mark.slow  # loads all shipped models, and opens the page several times
def test_the_figures_of_the_page_are_measured():
    command = [sys.executable, ROOT / "tools" / "page_speed.py", "--seconds", "1", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    figures = json.loads(done.stdout)
    assert figures["lanes"] == 11
    assert 10_000 < figures["bytes of a first visit"] < 150_000
    assert min(figures.values()) > 0
