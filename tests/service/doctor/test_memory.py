"""Memory that may be used, of the machine and of control groups, against the limits."""

import pytest

from service.doctor.memory import available_memory, check_memory, demand
from service.settings import Settings

LEAST, MOST = demand(Settings())
MACHINE = "MemTotal: 8000 kB\nMemAvailable: 4000 kB\n"


@pytest.mark.parametrize(
    ("available", "state"),
    [(LEAST - 1, "bad"), (LEAST, "attention"), (MOST - 1, "attention"), (MOST, "good")],
)
def test_memory_must_do_for_an_idle_server_and_should_for_its_limits(available, state):
    assert check_memory(available, Settings()).state == state


def test_every_process_and_every_limit_counts():
    assert demand(Settings(gateways=2))[0] == 2 * LEAST
    assert demand(Settings(redis="redis://x", workers=3))[0] == 4 * LEAST
    assert demand(Settings(workers=3)) == (LEAST, MOST)
    for limit in ("max_pixels", "decode_threads", "max_buffered", "max_job_bytes", "max_streams"):
        doubled = 2 * getattr(Settings(), limit)
        assert demand(Settings(**{limit: doubled}))[1] > MOST, limit


@pytest.fixture
def files(tmp_path):
    def put(**contents):
        for name, text in contents.items():
            path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return put


def test_without_a_group_the_machine_s_memory_counts(files):
    assert available_memory(files(proc__meminfo=MACHINE)) == 4_000 * 1_024


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [("1000000", "400000", 600_000), ("max", "400000", 4_096_000), ("400000", "500000", 0)],
)
def test_the_limit_of_a_control_group_counts(files, limit, used, expected):
    root = files(
        proc__meminfo=MACHINE,
        proc__self__cgroup="0::/box/inner\n",
        sys__fs__cgroup__box__memory_dot_max=limit,
        sys__fs__cgroup__box__memory_dot_current=used,
    )
    assert available_memory(root) == expected


def test_the_limit_of_a_container_is_at_the_top_whatever_its_path(files):
    root = files(
        proc__meminfo=MACHINE,
        proc__self__cgroup="0::/docker/0123\n",
        sys__fs__cgroup__memory_dot_max="1000",
        sys__fs__cgroup__memory_dot_current="1",
    )
    assert available_memory(root) == 999


def test_control_groups_of_version_1_count(files):
    root = files(
        proc__meminfo=MACHINE,
        proc__self__cgroup="5:cpu:/x\n4:memory:/x\n",
        sys__fs__cgroup__memory__x__memory_dot_limit_in_bytes="2000",
        sys__fs__cgroup__memory__x__memory_dot_usage_in_bytes="500",
    )
    assert available_memory(root) == 1_500


def test_a_system_that_does_not_say_is_not_judged(tmp_path):
    assert available_memory(tmp_path) is None
