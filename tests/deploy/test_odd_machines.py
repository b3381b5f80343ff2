"""Machines that lack something: file, REST, stream and /v2 still give the same scores."""

import os
import platform
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from features.kernels.loader import library_name
from tests.helpers.server_process import ROOT

pytestmark = [
    pytest.mark.slow,  # each starts servers, one of them emulated
    pytest.mark.timeout(1_200),
]
PROVE = ("-m", "service.cli.main", "prove", ROOT / "examples" / "quartet.ogg")
FOREST = ("--model", "instruments-forest")
WITHOUT_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
WITHOUT_USER_NAMESPACES = (
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    'echo 0 > /proc/sys/user/max_user_namespaces && ! unshare --user true && exec "$@"',
    "sh",
)


def proved(*command, **variables):
    """What `timbre prove` says in an environment; it must end with 0."""
    if missing := [each for each in command[:1] if not shutil.which(each)]:
        pytest.skip(f"{missing[0]} is not installed")
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | variables,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("prefix", [WITHOUT_NETWORK, WITHOUT_USER_NAMESPACES], ids=["net", "user"])
def test_no_network_and_no_user_namespaces(prefix):
    if os.geteuid():
        pytest.skip("only root makes such a machine")
    proved(*prefix, sys.executable, *PROVE, *FOREST)


def test_a_home_that_cannot_be_written_to():
    proved(sys.executable, *PROVE, *FOREST, HOME="/proc", XDG_CACHE_HOME="/proc")


def test_a_clock_at_1970(tmp_path):
    if not (compiler := shutil.which("cc")):
        pytest.skip("no C compiler on this machine, which a program's own clock needs")
    source, library = ROOT / "tests" / "chaos" / "clock.c", tmp_path / "clock.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    (tmp_path / "offset").write_bytes(struct.pack("l", 60 - int(time.time())))
    clock = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(tmp_path / "offset")}
    year = [sys.executable, "-c", "import time; print(time.gmtime().tm_year)"]
    assert subprocess.check_output(year, env=os.environ | clock, text=True).strip() == "1970"
    proved(sys.executable, *PROVE, *FOREST, **clock)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the emulated processor is one of x86")
def test_a_processor_without_avx(tmp_path):
    # The emulator shows the flags of the real one, but for a file of this name in its folder.
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(
        "flags\t\t: sse2 pni ssse3 cx16 sse4_1 sse4_2 popcnt\n"
    )
    # Of 2008: SSE 4.2, which NumPy asks for, and no AVX.
    emulator = ("qemu-x86_64-static", "-cpu", "Nehalem", "-L", tmp_path)
    run = (*emulator, Path(sys.executable).resolve())
    packages = os.pathsep.join(path for path in sys.path if path)
    said = proved(*run, "-m", "features.warm", PYTHONPATH=packages)
    assert Path(said.split()[-1]).name == library_name("x86-64")
    proved(*run, *PROVE[:2], "classify", PROVE[-1], *FOREST, PYTHONPATH=packages)
