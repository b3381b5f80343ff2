"""How well a model of drawings does on styles that it has not seen."""

import pytest

from benchmarks.reporting import results
from models.store import DEFAULT_PATH
from tools.style_figures import main


def test_every_style_has_a_row_for_new_things_and_for_known_ones(tmp_path):
    made = tmp_path / "styles.json"
    main([str(DEFAULT_PATH), "clip-art", "--json", str(made)])
    report = results.read(made)
    assert [(row["what"], row["name"]) for row in report["rows"]] == [
        (style, things) for style in ("blob", "noto", "twemoji") for things in ("new", "trained on")
    ] + [("mean", "new"), ("mean", "trained on")]
    parts = [row["top1"] for row in report["rows"][:6:2]]
    assert report["rows"][6]["top1"] == pytest.approx(sum(parts) / 3, abs=0.01)
    assert report["command"].endswith("tools/style_figures.py FOLDER clip-art")
    assert str(DEFAULT_PATH) not in made.read_text()
