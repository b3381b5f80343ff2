"""One table of colours: that of the pages is the same, and so is a part's colour in all plots."""

import re
from pathlib import Path

import pytest

import common.page
from training.common.colours import PARTS, SERIES, colour_of, series_of
from training.reporting import charts

ROOT = Path(__file__).parents[3]


def test_pages_and_plots_have_the_same_colours():
    light = common.page.STYLE.read_text(encoding="utf-8").split("@media", 1)[0]
    assert tuple(re.findall(r"--c\d:\s*(#[0-9a-f]{6})", light)) == SERIES
    assert tuple(charts.LIGHT[one] for one in charts.SERIES) == SERIES


def test_the_map_of_pictures_has_the_colours_of_pages_light_and_dark():
    colours = re.compile(r"--c(\d):\s*(#[0-9a-f]{6})")
    page, shown = (
        colours.findall(path.read_text(encoding="utf-8"))
        for path in (common.page.STYLE, ROOT / "training/pictures/embeddings/map.html")
    )
    assert len(shown) == 2 * len(SERIES)
    assert shown == page


def test_every_part_has_its_colour_and_further_test_sets_others():
    assert [colour_of(part) for part in ("train", "valid", "test")] == list(SERIES[:3])
    names = ["train", "valid", "new things", "things met in another source"]
    assert [series_of(name, at) for at, name in enumerate(names)] == [0, 1, 2, 3]


@pytest.mark.parametrize("part", PARTS)
def test_no_plot_of_parts_names_a_colour_of_its_own(part):
    colour = re.compile(rf"[\"']{part}[\"']\s*:\s*[\"']#")
    files = (path for path in (ROOT / "training").rglob("*.py"))
    assert [p.name for p in files if colour.search(p.read_text(encoding="utf-8"))] == []
