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


def test_a_chart_is_well_formed_and_as_wide_as_there_is_room(svg):
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    assert "viewBox" in root.attrib
    assert not {"width", "height"} & root.attrib.keys()


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
