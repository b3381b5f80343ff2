"""What boards tell of themselves, by the files of their kernels."""

import pytest

from service.doctor.board import (
    HOT_C,
    WARM_C,
    check_board,
    check_cores,
    check_power,
    check_temperature,
)


def test_a_board_says_its_name_its_cores_and_its_hottest_zone(tmp_path):
    files = {
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano\0",
        "sys/devices/system/cpu/online": "0-3\n",
        "sys/devices/system/cpu/present": "0-5\n",
        "sys/class/thermal/thermal_zone0/temp": "51000\n",
        "sys/class/thermal/thermal_zone0/type": "gpu\n",
        "sys/class/thermal/thermal_zone1/temp": "84500\n",
        "sys/class/thermal/thermal_zone1/type": "cpu\n",
        "sys/class/thermal/thermal_zone2/temp": "broken\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    board, cores, temperature = check_board(tmp_path)[:3]
    assert (board.state, board.found) == ("good", "NVIDIA Jetson Orin Nano")
    assert (cores.state, cores.found) == ("attention", "0-3 of 0-5 are switched on")
    assert (temperature.state, temperature.found) == ("attention", "84 °C (cpu)")


def test_a_machine_that_tells_nothing_is_not_judged(tmp_path):
    assert check_board(tmp_path) == check_power()


@pytest.mark.parametrize(
    ("degrees", "state"),
    [
        (WARM_C - 0.1, "good"),
        (WARM_C, "attention"),
        (HOT_C - 0.1, "attention"),
        (HOT_C, "bad"),
    ],
)
def test_a_hot_processor_needs_attention(degrees, state):
    assert check_temperature({"cpu": degrees, "case": 20.0})[0].state == state


def test_all_cores_on_are_not_mentioned():
    assert check_cores("0-5", "0-5") == []


def test_the_power_mode_is_what_the_program_prints():
    [finding] = check_power(("printf", "NV Power Mode: 15W\n0\n"))
    assert (finding.state, finding.found) == ("good", "NV Power Mode: 15W 0")
    assert check_power(("false",))[0].state == "attention"
    assert check_power(("no-such-program-here",)) == []
