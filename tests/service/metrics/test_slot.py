"""Numbers that outlive the process that wrote them."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from service.metrics.slot import KEYS_END, VALUES, Slot, SlotView
from service.server.supervisor import MEMORY

WRITER = """
import os, sys
from pathlib import Path
from service.metrics.slot import Slot
slot = Slot(Path(sys.argv[1]))
found = [each for each in slot.view.series if each.labels == ("a",)]
at = found[0].first if found else slot.add("calls", ("a",), 2)
for _ in range(1000):
    slot.values[at] += 1
    slot.values[at + 1] += 0.5
print(len(slot.view.series), flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_successor_of_a_killed_process_goes_on_counting_and_nothing_grows(tmp_path):
    path = tmp_path / "gateway-0.slot"
    for round_ in range(1, 3):
        done = subprocess.run(
            [sys.executable, "-c", WRITER, path], capture_output=True, text=True, check=False
        )
        assert done.returncode == -signal.SIGKILL
        assert done.stdout.strip() == "1"
        view = SlotView.of_file(path)
        assert view.series == [("calls", ("a",), 0, 2)]
        assert view.values[:2].tolist() == [1000 * round_, 500 * round_]


def test_a_reader_sees_series_that_are_added_while_it_reads(tmp_path):
    slot = Slot(tmp_path / "a.slot")
    view = SlotView.of_file(tmp_path / "a.slot")
    at = slot.add("calls", ('quoted "\n', "ü"), 1)
    slot.values[at] = 0.1
    assert view.series == []
    view.update()
    assert [(each.labels, view.values[each.first]) for each in view.series] == [
        (('quoted "\n', "ü"), 0.1)
    ]


@pytest.mark.parametrize("bound", ["values", "keys"])
def test_a_full_slot_says_so_and_keeps_what_it_has(bound):
    slot = Slot()
    count, label = (VALUES // 4, "x") if bound == "values" else (1, "x" * (KEYS_END // 4 - 100))
    for number in range(4):
        assert slot.fits("calls", (label, str(number)), count)
        slot.values[slot.add("calls", (label, str(number)), count)] = number
    assert not slot.fits("calls", (label, "4"), count)
    with pytest.raises(ValueError, match="the slot is full"):
        slot.add("calls", (label, "4"), count)
    assert [slot.values[each.first] for each in slot.view.series] == [0, 1, 2, 3]


def test_the_room_of_a_slot_is_taken_when_it_is_opened():
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        Slot(Path(folder) / "a.slot")
        found = (Path(folder) / "a.slot").stat()
    assert found.st_blocks * 512 >= found.st_size == KEYS_END + 8 * VALUES
