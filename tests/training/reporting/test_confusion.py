"""A confusion matrix of any number of classes: numbers of few, coloured cells of many."""

import json
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from common.page import document
from tests.helpers.browser import opened
from training.evaluation.metrics import LARGEST_MATRIX
from training.reporting.confusion import LONGEST, MOST_NAMED, confusion, pairs_of

SVG = "{http://www.w3.org/2000/svg}"


def drawn(page):
    text = re.search(r"<svg.*?</svg>", page)[0]
    return ET.fromstring(text.replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1))


def some(count, per_class=5):
    rng = np.random.default_rng(0)
    counts = np.zeros((count, count), int)
    for true in range(count):
        said = np.where(rng.random(per_class) < 0.5, true, rng.integers(0, count, per_class))
        np.add.at(counts, (true, said), 1)
    return counts


@pytest.mark.parametrize("count", [1, 2, LARGEST_MATRIX])
def test_up_to_forty_classes_are_a_table_of_numbers(count):
    page = confusion([f"class {n}" for n in range(count)], pairs_of(some(count).tolist()))
    assert "<svg" not in page
    assert page.count('<td class="cell') == count**2
    assert 'class="scroll"' in page


@pytest.mark.parametrize("count", [LARGEST_MATRIX + 1, 83, 500])
def test_more_classes_are_cells_and_every_pair_has_its_own(count):
    counts = some(count)
    page = confusion([f"class {n}" for n in range(count)], pairs_of(counts.tolist()))
    root = drawn(page)
    cells = {
        (int(row), int(column))
        for path in root.iter(f"{SVG}path")
        for column, row in re.findall(r"M(\d+) (\d+)h1v1h-1z", path.attrib.get("d", ""))
    }
    assert cells == set(zip(*map(np.ndarray.tolist, np.nonzero(counts)), strict=True))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert sorted(texts) == sorted(2 * [f"class {n}" for n in range(count)]), "rows and columns"
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])
    assert sum(count for _, _, count in data["pairs"]) == counts.sum()
    assert not {"width", "height"} & root.attrib.keys()
    assert page.index('class="scroll"') < page.index("<svg")


def test_the_larger_a_share_of_its_row_the_fuller_is_a_cell():
    pairs = [[0, 0, 1], [0, 1, 7], [1, 1, 700], [1, 2, 100]]
    root = drawn(confusion([f"class {n}" for n in range(50)], pairs))
    full = {
        at: float(path.attrib["fill-opacity"])
        for path in root.iter(f"{SVG}path")
        for at in re.findall(r"M(\d+ \d+)h1v1h-1z", path.attrib.get("d", ""))
        if "fill-opacity" in path.attrib
    }
    assert full["1 0"] == full["1 1"] > full["0 0"] == full["2 1"]


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1, 300])
def test_names_are_text_and_no_longer_than_there_is_room(length):
    hard = "</script><b>" + "x" * (length - 12)
    page = confusion([hard, *(f"class {n}" for n in range(60))], [[0, 0, 1]])
    texts = [text.text for text in drawn(page).iter(f"{SVG}text")]
    assert max(map(len, texts)) <= LONGEST
    assert page.count("</script>") == 2, "of the data and of the program"
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])
    assert data["labels"][0] == hard, "the whole name is told with the count"


@pytest.mark.parametrize(("count", "named"), [(MOST_NAMED, True), (MOST_NAMED + 1, False)])
def test_names_that_nobody_could_read_are_not_drawn(count, named):
    page = confusion([f"class {n}" for n in range(count)], [[0, 0, 1]])
    assert ("<text" in page) is named


CELL = """(() => {{
  const svg = document.querySelector(".cells svg")
  const at = new DOMPoint({} + .5, {} + .5).matrixTransform(svg.getScreenCTM())
  return [at.x, at.y]
}})()"""
TOLD = "document.querySelector('.cells output').textContent"
WIDTH = "document.querySelector('.cells svg').clientWidth"
SEEN = """(() => {
  const here = document.querySelector(".cells .here").getBoundingClientRect()
  const box = document.querySelector(".cells .scroll").getBoundingClientRect()
  return here.left >= box.left - 1 && here.right <= box.right + 1
      && here.top >= box.top - 1 && here.bottom <= box.bottom + 1
})()"""


@pytest.fixture(params=[83, 500])
async def many(request, tmp_path):
    """A browser's tab on a matrix of many classes, and the words of a cell."""
    counts = some(request.param)
    labels = [f"class {n}" for n in range(request.param)]
    file = tmp_path / "page.html"
    page = document("a matrix", confusion(labels, pairs_of(counts.tolist())))
    file.write_text(page, encoding="utf-8")

    def words(true, predicted):
        count = counts[true, predicted]
        share = f"{count} of 5, {100 * count // 5} %"
        return f"true: class {true}; predicted: class {predicted}: {share}"

    async with opened(file.as_uri()) as tab:
        await tab.until("document.readyState === 'complete' && !!document.querySelector('.here')")
        yield tab, words, request.param


async def test_the_cell_or_label_under_the_pointer_is_told(many):
    tab, words, _ = many
    for row, column in ((0, 0), (3, 20), (12, 2)):
        x, y = await tab.run(CELL.format(column, row))
        await tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        assert await tab.until(f"{TOLD} === {json.dumps(words(row, column))}")
    x, y = await tab.run(CELL.format(-3, 7))
    await tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert await tab.until(f"{TOLD} === {json.dumps(words(7, 7))}")
    x, y = await tab.run(CELL.format(-3, -3))
    await tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert await tab.run(TOLD) == words(7, 7), "the corner is no cell"


async def test_a_tap_on_a_telephone_tells_the_cell(many):
    tab, words, _ = many
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    await tab.send("Emulation.setDeviceMetricsOverride", **phone)
    await tab.send("Emulation.setTouchEmulationEnabled", enabled=True)
    await tab.send("Page.reload")
    await tab.until("document.readyState === 'complete' && innerWidth === 390")
    assert await tab.until(f"{WIDTH} > 600"), "cells are no smaller than they can be tapped"
    assert await tab.run("document.documentElement.scrollWidth") == 390
    x, y = await tab.run(CELL.format(2, 1))
    await tab.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    await tab.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert await tab.until(f"{TOLD} === {json.dumps(words(1, 2))}")


async def test_arrow_keys_move_the_cell_up_to_the_border_and_keep_it_in_sight(many):
    tab, words, count = many
    await tab.run("document.querySelector('.cells svg').focus()")
    for key, row, column in (
        ("ArrowLeft", 0, 0),
        ("ArrowUp", 0, 0),
        ("ArrowRight", 0, 1),
        ("ArrowDown", 1, 1),
    ):
        await tab.press(key)
        assert await tab.run(TOLD) == words(row, column)
    for _ in range(count):
        await tab.press("ArrowDown")
    assert await tab.run(TOLD) == words(count - 1, 1)
    assert await tab.run(SEEN)


async def test_zoom_ends_at_forty_pixels_in_a_window_whose_size_has_changed(many):
    tab, _, count = many
    larger = "document.querySelector('.cells button').click()"
    begun = await tab.run(WIDTH)
    for width in (700, 1_600):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        await tab.send("Emulation.setDeviceMetricsOverride", **size)
        await tab.until(f"innerWidth === {width} && {WIDTH} !== {begun}")
        for _ in range(12):
            await tab.run(larger)
        begun = await tab.run(WIDTH)
        assert begun == pytest.approx(40 * (count + 14), rel=0.02)


async def test_larger_and_smaller_zoom_between_the_whole_and_cells_of_forty_pixels(many):
    tab, words, count = many
    larger, smaller = (
        f"document.querySelectorAll('.cells button')[{number}].click()" for number in (0, 1)
    )
    begun = await tab.run(WIDTH)
    assert begun >= 6.9 * (count + 14)
    await tab.run("document.querySelector('.cells svg').focus()")
    for _ in range(20):
        await tab.press("ArrowRight")
    await tab.run(larger)
    assert await tab.run(WIDTH) == pytest.approx(1.6 * begun, rel=0.02)
    for _ in range(9):
        await tab.run(larger)
    assert await tab.run(WIDTH) == pytest.approx(40 * (count + 14), rel=0.02)
    assert await tab.run(TOLD) == words(0, 20)
    assert await tab.run(SEEN), "the cell that was told of stays in sight"
    for _ in range(12):
        await tab.run(smaller)
    whole = await tab.run("document.querySelector('.cells .scroll').clientWidth")
    assert await tab.run(WIDTH) == pytest.approx(whole, rel=0.02)
