"""Bars stand where their ratios are: longer to the right, faster to the left of ours."""

import re
import xml.etree.ElementTree as ET

import pytest

from benchmarks.reporting import plots
from benchmarks.reporting.plots import Bar

BARS = [Bar("slow & old", 40.0, 30.0, 50.0), Bar("even", 1.0, 0.9, 1.1), Bar("fast", 0.5, 0.4, 0.6)]


def parts(svg, kind):
    root = ET.fromstring(svg)
    return [each for each in root if each.get("class", "").split(" ")[0] == kind]


def test_bars_lie_on_their_side_of_ours_within_the_picture():
    svg = plots.ratios(BARS, alone=True, title="a title")
    (base,) = parts(svg, "base")
    ours = float(base.get("x1"))
    slow, even = parts(svg, "more")
    (fast,) = parts(svg, "less")
    assert float(slow.get("x")) == pytest.approx(ours, abs=0.1)
    assert float(fast.get("x")) + float(fast.get("width")) == pytest.approx(ours, abs=0.1)
    assert float(slow.get("width")) > float(fast.get("width")) > float(even.get("width")) == 1
    for line in parts(svg, "spread"):
        assert (
            plots.label_width(BARS) <= float(line.get("x1")) <= float(line.get("x2")) <= plots.WIDTH
        )
    assert [each.text for each in parts(svg, "times")] == ["40", "1", "0.5"]
    assert "slow &amp; old" in svg


def test_without_bars_there_is_no_picture():
    assert plots.ratios([]) == ""


@pytest.mark.parametrize(
    ("low", "high"), [(0.9, 1.2), (0.5, 3.2), (0.9, 40.0), (0.1, 2_000.0), (1.0, 1.0001)]
)
def test_every_axis_has_round_values_within_its_ends(low, high):
    found = plots.ticks(low, high)
    assert found
    assert all(low <= value <= high for value in found)
    assert all(re.fullmatch(r"[125390.]+|1e\+?\d+", f"{value:g}") for value in found)


def test_a_picture_that_stands_alone_has_colours_for_light_and_dark():
    assert "prefers-color-scheme:dark" in plots.ratios(BARS, alone=True)
    assert "<style>" not in plots.ratios(BARS)
