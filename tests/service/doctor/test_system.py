"""Clock, folders and file descriptors, on both sides of each bound."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.doctor import system
from service.server.connections import OTHER_DESCRIPTORS

ROOT = Path(__file__).parents[3]
NOW = 1.8e9


@pytest.mark.parametrize(
    ("now", "newest", "state"),
    [
        (NOW, 0, "good"),
        (NOW, NOW, "good"),
        (NOW - 1, NOW, "bad"),
        (0, NOW, "bad"),
        (NOW + system.FAR_FUTURE_S, NOW, "good"),
        (NOW + system.FAR_FUTURE_S + 1, NOW, "bad"),
    ],
)
def test_a_clock_is_believed_from_the_newest_artefact_on_for_twenty_years(now, newest, state):
    assert system.check_clock(now, newest).state == state


@pytest.mark.parametrize(
    ("seconds", "state"), [(2, "good"), (2.1, "attention"), (-2, "good"), (-2.1, "attention")]
)
def test_two_clocks_may_differ_by_two_seconds(seconds, state):
    finding = system.check_skew("Redis", seconds)
    assert finding.state == state
    assert ("behind" in finding.found) is (seconds < 0)


def test_the_newest_time_is_found_and_none_is_zero():
    assert system.newest(["1970-01-01T00:00:10+00:00", "1970-01-01T00:00:05+00:00"]) == 10
    assert system.newest([]) == 0


@pytest.mark.parametrize(
    ("hard", "state"),
    [
        (None, "good"),
        (4_000 + OTHER_DESCRIPTORS, "good"),
        (4_000 + OTHER_DESCRIPTORS - 1, "attention"),
        (1_000 + OTHER_DESCRIPTORS, "attention"),
        (1_000 + OTHER_DESCRIPTORS - 1, "bad"),
    ],
)
def test_descriptors_must_do_for_the_streams_and_should_for_the_connections(hard, state):
    assert system.check_descriptors(hard, connections=4_000, streams=1_000).state == state


def test_the_limit_of_the_process_is_the_one_that_is_judged():
    code = (
        "import resource\n"
        "from service.doctor import system\n"
        "for limit in (1_600, 1_300):\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))\n"
        "    hard = system.hard_limit()\n"
        "    found = system.check_descriptors(hard, connections=4_096, streams=1_200)\n"
        "    print(found.state, found.found)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.splitlines()
    assert shown[0].startswith("attention at most 1,600;")
    assert shown[1].startswith("bad at most 1,300;")


@pytest.mark.parametrize(
    ("free", "state"),
    [
        (system.FULL - 1, "bad"),
        (system.FULL, "attention"),
        (system.LOW - 1, "attention"),
        (system.LOW, "good"),
    ],
)
def test_a_disk_needs_room(free, state):
    assert system.check_space("cache", Path("/x"), free).state == state


def test_a_folder_is_written_to_and_left_empty(tmp_path):
    finding = system.check_writable("cache", tmp_path, low=1, consequence="-")
    assert finding.state == "good"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_to_be_made_is_judged_by_the_one_above_it(tmp_path):
    assert system.check_writable("x", tmp_path / "a" / "b", low=1, consequence="-").state == "good"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("needed", "state"), [(False, "attention"), (True, "bad")])
def test_a_folder_that_cannot_be_written_says_what_is_lost(needed, state):
    finding = system.check_writable(
        "cache", Path("/proc/1"), consequence="it is slow", bad_if_not=needed
    )
    assert finding.state == state
    assert "it is slow" in finding.found


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted")
def test_a_full_disk_is_found(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        assert system.check_writable("x", tmp_path, consequence="-").state == "bad"
        (tmp_path / "whole").write_bytes(b"\0" * 65_536)
        finding = system.check_writable("x", tmp_path, consequence="nothing is kept")
        assert finding.state == "attention"
        assert "No space left on device; nothing is kept" in finding.found
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_folder_that_cannot_be_listed_is_bad(tmp_path):
    assert system.check_readable("artefacts", tmp_path).state == "good"
    finding = system.check_readable("artefacts", tmp_path / "none")
    assert finding.state == "bad"
    assert "No such file" in finding.found


@pytest.mark.parametrize(
    ("count", "shown"),
    [(1_023, "1023 B"), (1_024, "1 KiB"), (2**20, "1 MiB"), (3 * 2**29, "1.5 GiB")],
)
def test_sizes_are_shown_in_a_unit_that_fits(count, shown):
    assert system.size(count) == shown
