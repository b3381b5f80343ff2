import mmap
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.inference.memory import _read_only_files, give_back

ROOT = Path(__file__).parents[3]
SMAPS = Path("/proc/self/smaps")
pytestmark = pytest.mark.skipif(
    not SMAPS.exists(), reason="resident pages are read from Linux's /proc"
)


def resident_kb(path):
    blocks = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", SMAPS.read_text())
    return sum(
        int(re.search(r"Rss:\s+(\d+) kB", block)[1]) for block in blocks if str(path) in block
    )


def test_pages_of_files_are_dropped_and_come_back_when_read(tmp_path):
    path = tmp_path / "library"
    path.write_bytes(bytes(range(256)) * 32_768)
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE) as pages,
    ):
        first = sum(pages[::4_096])
        assert resident_kb(path) == 8_192
        give_back()
        assert resident_kb(path) < 1_000
        assert sum(pages[::4_096]) == first


def test_what_can_be_written_or_is_of_no_file_is_left_alone():
    lines = [
        "1000-2000 r-xp 00000000 08:01 42 /lib/a.so",
        "2000-3000 r--p 00001000 08:01 42 /lib/a.so",
        "3000-4000 rw-p 00002000 08:01 42 /lib/a.so",
        "4000-5000 r--p 00000000 00:00 0",
        "5000-6000 rw-p 00000000 00:00 0 [heap]",
    ]
    assert list(_read_only_files(lines)) == [(0x1000, 0x2000), (0x2000, 0x3000)]


GROWN = """
import ctypes, sys
from pathlib import Path
from service.inference.memory import LARGE, let_go_of_large_blocks

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes, libc.free.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_void_p]
if len(sys.argv) > 1:
    let_go_of_large_blocks()
for _ in range(3):
    # The last one stays, and keeps the heap below it from shrinking.
    blocks = [libc.malloc(2 * LARGE) for _ in range(20)] + [libc.malloc(200_000)]
    for block in blocks[:-1]:
        libc.memset(block, 1, 2 * LARGE)
    for block in blocks[:-1]:
        libc.free(block)
print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
"""


def test_large_blocks_go_back_to_the_system_when_they_are_free():
    kept, after = (
        int(
            subprocess.run(
                [sys.executable, "-c", GROWN, *told], capture_output=True, check=True, cwd=ROOT
            ).stdout
        )
        for told in ([], ["let go"])
    )
    if kept < 100e6:
        pytest.skip("the allocator of this machine keeps nothing anyway")
    assert after < 50e6
