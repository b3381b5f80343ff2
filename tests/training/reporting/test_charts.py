"""Charts take the colours of their page, or stand alone in the light ones."""

import io
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from training.reporting import charts

X = np.linspace(0, 1, 5)


@pytest.fixture(
    params=[
        lambda: charts.intervals(
            {
                "F1": {"a": 0.5, "b": None},
                "mAP": {"a": 0.1, "b": 1.0},
                "top-1": {"a": None, "b": None},
            },
            dict.fromkeys(["F1", "mAP", "top-1"], (0.5, 0.4, 0.6)),
        ),
        lambda: charts.lines(
            [("loss", "epoch", {"a $x$": ([1, 2], [3, 2]), "b": ([1, 2], [2, 1])})]
        ),
        lambda: charts.multiples(
            dict.fromkeys("abcde", (X, X)),
            marks=dict.fromkeys("abcde", (0.5, 0.5)),
            notes=dict.fromkeys("abcde", ""),
            below="x",
            beside="y",
        ),
        lambda: charts.reliability(
            [{"score": 0.1, "share": 0.2, "count": 9}, {"score": 0.0, "share": 0.0, "count": 0}]
        ),
        lambda: charts.bars(
            [["a $x$", 0.002, "low"], ["b", 0.0, "low"], ["c", 30.0, "high"]], beside="y"
        ),
        lambda: charts.bars([["a", 0.0, "low"]], beside="y"),
    ],
    ids=["intervals", "lines", "multiples", "reliability", "bars", "bars of nothing"],
)
def svg(request):
    return request.param()


def test_a_chart_is_well_formed_and_every_panel_as_wide_as_there_is_room(svg):
    root = ET.fromstring(f"<div>{svg}</div>")
    drawn = root.findall(".//{http://www.w3.org/2000/svg}svg")
    assert drawn
    for panel in drawn:
        assert "viewBox" in panel.attrib
        assert not {"width", "height"} & panel.attrib.keys()
        width = float(panel.attrib["viewBox"].split()[2])
        assert width <= 72 * charts.PANEL or panel in root.findall(".//div[@class='wide']/*")
    narrow = root.findall(".//div[@class='narrow']/*")
    assert len(narrow) == len(root.findall(".//div[@class='wide']/*"))


def test_a_name_has_one_colour_in_all_panels_and_in_the_one_legend():
    curve = ([1, 2, 3], [3, 2, 1])
    names = [f"network {number}" for number in range(9)]
    drawn = charts.lines(
        [("loss", "epoch", dict.fromkeys(names, curve)), ("F1", "epoch", {names[4]: curve})]
    )
    assert drawn.count('<ul class="legend">') == 1
    second = drawn[drawn.rindex("<svg") :]
    assert set(re.findall(r"stroke: var\(--(c\d)\)", second)) == {"c4"}
    assert '<i style="--key:var(--c4)"></i>network 4<' in drawn
    assert 'class=dashed><i style="--key:var(--c0)"></i>network 7<' in drawn


@pytest.mark.parametrize("length", [1, charts.TITLE, charts.TITLE + 1, 40, 300])
def test_long_names_are_shortened_beside_an_axis(length):
    name = "x" * length
    drawn = charts.intervals({"F1": {name: 0.5}}, {"F1": (0.5, 0.4, 0.6)})
    words = re.findall(r">([x…]+)</text>", drawn)
    assert words == [name if length <= charts.TITLE else "x" * (charts.TITLE - 1) + "…"]


def test_without_an_interval_there_is_no_band():
    figures = {"F1": {"a": 0.5}}
    with_band, without = (
        charts.intervals(figures, {"F1": (0.5, low, high)}).count("opacity: 0.14")
        for low, high in ((0.4, 0.6), (0.5, 0.5))
    )
    assert (with_band, without) == (1, 0)


def test_a_figure_that_is_not_known_has_no_panel():
    figures = {"F1": {"a": 0.5}, "mAP": {"a": None}}
    assert charts.intervals(figures, {"F1": (0.5, 0.5, 0.5)}).count("<svg") == 1


def test_a_chart_is_laid_out_as_matplotlib_lays_it_out():
    def drawn(save):
        with charts.panels(2, columns=2) as (figure, axes):
            for ax in axes:
                ax.plot([0, 1], [0, 1e6], label="a")
                ax.set(title="A title", xlabel="below", ylabel="beside")
            axes[-1].legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
            return save(figure)

    def theirs(figure):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
        return buffer.getvalue()

    places = r' (?:x|y|d|transform)="[^"]*"'
    assert re.findall(places, drawn(charts._svg)) == re.findall(places, drawn(theirs))


def test_plots_together_have_a_legend_in_their_file():
    def draw(ax):
        ax.plot([0, 1], [0, 1], color=charts.SERIES[0])

    keys = [charts.Key("one", 0), charts.Key("two", 1, "open"), charts.Key("three", 2, "dashed")]
    text = charts.together([draw, draw], keys=keys)
    ET.fromstring(text)
    assert [f">{key.name}</text>" in text for key in keys] == [True] * 3


def test_a_figure_can_be_drawn_for_a_page_and_for_a_file():
    with charts.panels(1, columns=1) as (figure, (ax,)):
        ax.set(title="A title", xlabel="below", ylabel="beside")
        page, file = charts.inline(figure), charts.alone(figure)
    words = r">([^<>]*)</text>"
    assert re.findall(words, page) == re.findall(words, file) != []


def test_no_colour_is_fixed(svg):
    assert "var(--" in svg
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= set()


def test_names_are_text_and_no_formula(svg):
    assert "mathdefault" not in svg
    assert "<text" in svg


def test_in_a_file_of_its_own_a_chart_has_the_light_colours():
    with charts.panels(1, columns=1) as (figure, (axes,)):
        axes.plot([0, 1], [0, 1], color=charts.SERIES[0])
        text = charts.alone(figure)
    assert charts.LIGHT[charts.SERIES[0]] in text
    assert "var(" not in text
    ET.fromstring(text)


def test_the_same_figures_give_the_same_bytes():
    assert charts.reliability([{"score": 0.1, "share": 0.2, "count": 9}]) == charts.reliability(
        [{"score": 0.1, "share": 0.2, "count": 9}]
    )


def test_every_number_of_trees_has_its_tick_however_far_apart():
    series = {"a": ([1, 2, 5, 10, 20, 50, 100, 200], list(range(8)))}
    svg = charts.lines([("loss", "trees", series)])
    assert [re.search(rf">{number}</text>", svg) is not None for number in series["a"][0]] == [
        True
    ] * 8


def test_scores_never_given_have_no_bar():
    bins = [
        {"score": at / 10, "share": 0.5, "count": count} for at, count in enumerate((0, 1, 0, 30))
    ]
    assert charts.reliability(bins).count('z\n" clip-path') == 2
