"""A day under an autoscaler: nothing is made or lost, and each way to scale shows its fault."""

import pytest

from benchmarks.autoscaling import command
from benchmarks.autoscaling.command import ALL, SCENARIOS
from benchmarks.autoscaling.day import DAY_S, Scenario, live_windows, simulate
from benchmarks.reporting import results

CHART, WITHOUT_DEMAND, TO_ZERO, _, READ_AS_ZERO, ALL_DAY = SCENARIOS


@pytest.fixture(scope="module")
def days():
    return {scenario.name: simulate(scenario) for scenario in SCENARIOS}


def test_every_window_is_answered_dropped_or_rejected(days):
    asked = sum(map(live_windows, range(DAY_S)))
    for scenario in SCENARIOS:
        if scenario is not TO_ZERO:  # what is rejected there are clips too
            day = days[scenario.name]
            assert day.answered + day.dropped + day.rejected == pytest.approx(asked)


def test_by_the_chart_all_is_answered_with_a_third_of_the_workers(days):
    day = days[CHART.name]
    assert day.dropped_share < 0.001
    assert day.longest_clip_wait_s < 120
    assert day.worker_hours < 0.4 * days[ALL_DAY.name].worker_hours
    assert min(day.workers) == 2


def test_without_demand_workers_come_and_go_and_windows_are_dropped(days):
    chart, other = days[CHART.name], days[WITHOUT_DEMAND.name]
    assert other.dropped > chart.dropped
    assert other.longest_clip_wait_s > 10 * chart.longest_clip_wait_s


def test_a_lost_prometheus_that_reads_as_zero_drops_and_a_fallback_does_not(days):
    assert days[READ_AS_ZERO.name].dropped > 100 * days[CHART.name].dropped + 1
    assert days[SCENARIOS[3].name].dropped_share == pytest.approx(
        days[CHART.name].dropped_share, abs=1e-4
    )


def test_what_scales_to_zero_never_wakes_again(days):
    day = days[TO_ZERO.name]
    assert day.workers[-1] == 0
    assert day.rejected > 0


def test_a_day_without_load_needs_the_fewest_workers():
    day = simulate(Scenario("none", {"live": ALL["live"]}), live=lambda _: 0.0)
    assert set(day.workers) == {2}
    assert day.answered == 0


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_documented_day_is_that_of_the_rules_as_they_are(scenario, days):
    rows = results.read(results.FOLDER / "autoscaling.json")["rows"]
    (row,) = [row for row in rows if row["what"] == scenario.name]
    assert row == command.row(scenario.name, days[scenario.name])


def test_the_command_prints_a_row_for_each_and_writes_the_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "SCENARIOS", SCENARIOS[:2])
    assert command.main(["--plot", str(tmp_path / "day.svg")]) == 0
    printed = capsys.readouterr().out
    assert all(f"| {scenario.name} |" in printed for scenario in SCENARIOS[:2])
    assert (tmp_path / "day.svg").read_text("utf-8").count("<path") == 3 + 5
