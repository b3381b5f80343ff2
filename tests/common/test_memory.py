"""Freed memory goes back to the system, where the allocator would keep it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROWN = """
import ctypes, sys
from pathlib import Path
from common.memory import LARGE, return_large_blocks, trim

size, count, call = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if call == "return_large_blocks":
    return_large_blocks()
for _ in range(3):
    # The last one stays, and keeps the heap below it from shrinking.
    blocks = [libc.malloc(size) for _ in range(count)] + [libc.malloc(100_000)]
    for block in blocks[:-1]:
        libc.memset(block, 1, size)
    for block in blocks[:-1]:
        libc.free(block)
if call == "trim":
    trim()
print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
"""


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="resident memory is read in /proc"
)
@pytest.mark.parametrize(
    ("call", "size", "count"), [("return_large_blocks", 8 * 2**20, 20), ("trim", 100_000, 2_000)]
)
def test_freed_memory_goes_back_to_the_system(call, size, count):
    kept, after = (
        int(
            subprocess.run(
                [sys.executable, "-c", GROWN, str(size), str(count), each],
                capture_output=True,
                check=True,
                cwd=ROOT,
            ).stdout
        )
        for each in ("nothing", call)
    )
    if kept < 100e6:
        pytest.skip("the allocator of this machine keeps nothing anyway")
    assert after < 50e6


HEAPS = """
import ctypes, sys, threading
from common.memory import share_one_heap

if sys.argv[1] == "share_one_heap":
    share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
here, meeting = [], threading.Barrier(4)

def allocate():
    meeting.wait()
    here.append(libc.malloc(1_000) >> 26)  # a heap of a thread lies in a block of 64 MiB
    meeting.wait()

threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(set(here)))
"""


def test_all_threads_share_one_heap():
    separate, shared = (
        int(
            subprocess.run(
                [sys.executable, "-c", HEAPS, each], capture_output=True, check=True, cwd=ROOT
            ).stdout
        )
        for each in ("nothing", "share_one_heap")
    )
    if separate == 1:
        pytest.skip("the threads of this machine share one heap anyway")
    assert shared == 1
