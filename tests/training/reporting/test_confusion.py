"""A confusion matrix of any number of classes: numbers of few, coloured cells of many."""

import json
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

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
