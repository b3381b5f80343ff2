"""A machine gets the widest kernels that all its cores can run, and others none."""

import platform
import sys

import pytest

from features.kernels import processor
from features.kernels.processor import LEVELS, flags, level

V3 = LEVELS["x86_64"]["x86-64-v3"]
V4 = LEVELS["x86_64"]["x86-64-v4"]


def cpuinfo(tmp_path, *cores, name="flags\t\t"):
    path = tmp_path / "cpuinfo"
    path.write_text("".join(f"processor\t: 0\n{name}: {' '.join(core)}\n\n" for core in cores))
    return path


@pytest.fixture
def x86(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


@pytest.mark.parametrize(
    ("has", "best"),
    [
        (V4, "x86-64-v4"),
        (V4 | {"amx_tile", "avx512_fp16"}, "x86-64-v4"),
        (V4 - {"avx512vl"}, "x86-64-v3"),
        (V3, "x86-64-v3"),
        (V3 - {"fma"}, "x86-64"),
        ({"sse2", "avx"}, "x86-64"),
    ],
)
def test_the_widest_level_whose_flags_are_all_there_is_taken(tmp_path, x86, has, best):
    assert level(cpuinfo(tmp_path, sorted(has))) == best


def test_cores_that_differ_get_what_all_of_them_can(tmp_path, x86):
    assert level(cpuinfo(tmp_path, sorted(V4), sorted(V3))) == "x86-64-v3"
    assert level(cpuinfo(tmp_path, sorted(V3), [])) == "x86-64"


def test_where_nothing_is_told_the_oldest_processor_is_assumed(tmp_path, x86):
    assert flags(tmp_path / "none") == set()
    assert level(tmp_path / "none") == "x86-64"


def test_arm_of_64_bits_has_one_level_and_any_other_machine_none(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    told = cpuinfo(tmp_path, ["fp", "asimd"], name="Features\t")
    assert flags(told) == {"fp", "asimd"}
    for machine, best in [("aarch64", "aarch64"), ("armv7l", None), ("riscv64", None), ("", None)]:
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        assert level(told) == best


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_have_none(monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    assert level() is None


def test_this_machine_is_read():
    if sys.platform == "linux" and platform.machine() in LEVELS:
        assert flags(processor.CPUINFO)
        assert level() in LEVELS[platform.machine()]
