"""The report of an artefact: whole, alone, true to the manifest."""

import base64
import json
import re
from pathlib import Path

import joblib
import numpy as np
import pytest

from features.config import DEFAULT
from models.store import DEFAULT_PATH, Store
from training.evaluation.leave_one_out import SourceScores
from training.notes.window_set import WindowSet
from training.reporting import folder

SECTIONS = (
    "Sources", "Labels", "Learning", "Confusion", "Precision and recall", "Thresholds",
    "Calibration", "Worst mistakes", "Material", "Origin",
)  # fmt: skip


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    """The shipped network, beside which the report is written."""
    store = Store(DEFAULT_PATH)
    version = store.versions("instruments-net")[-1]
    place = tmp_path_factory.mktemp("out") / "instruments-net" / version
    place.parent.mkdir()
    place.symlink_to(DEFAULT_PATH / "instruments-net" / version)
    return place


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(0)
    labels = np.zeros((60, 11), bool)
    labels[np.arange(55), np.arange(55) % 11] = True
    kind = np.where(labels.any(axis=1), "solo", "noise")
    samples = rng.normal(0, 0.1, (60, DEFAULT.window)).astype(np.float16)
    return WindowSet(samples, labels, np.array(["here", "there"] * 30), kind, Path(), "")


def scores_of(windows):
    rng = np.random.default_rng(1)
    for source in ("here", "there"):
        rows = np.flatnonzero(windows.source == source)
        scores = np.clip(0.6 * windows.labels[rows] + rng.uniform(0, 0.6, (len(rows), 11)), 0, 1)
        yield SourceScores(
            source, scores.astype(np.float32), windows.labels[rows], windows.kind[rows], rows
        )


@pytest.fixture(scope="module")
def written(artefact, windows):
    history = {
        source: [{"loss": 1.0, "held_out_map": 0.1}, {"loss": 0.5, "held_out_map": 0.4}]
        for source in ("here", "there")
    }
    return folder.write(
        artefact,
        about="Hears <everything>.",
        evaluated=list(scores_of(windows)),
        history=history,
        windows=windows,
        split="source,part\nhere,train\n",
        estimator=["any"],
    )


def test_it_lies_beside_the_models_and_is_none(written, artefact):
    assert written == artefact.parents[1] / "reports" / f"instruments-net-{artefact.name}"
    assert sorted(file.name for file in written.iterdir()) == [
        "model.joblib",
        "recipe.toml",
        "report.html",
        "report.json",
        "split.csv",
    ]
    assert (written / "split.csv").read_text() == "source,part\nhere,train\n"
    assert Store(artefact.parents[1]).names() == ["instruments-net"]
    assert joblib.load(written / "model.joblib") == ["any"]


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_has_every_section(written, section):
    assert f">{section}</h2>" in (written / "report.html").read_text()


def test_the_page_asks_nothing_of_the_network_and_is_one_file(written):
    page = (written / "report.html").read_text()
    outside = [
        link
        for link in re.findall(r'(?:src|href)="([^"]+)"', page)
        if not link.startswith(("#", "data:"))
    ]
    assert outside == []
    assert "<script" not in page
    assert "Hears &lt;everything&gt;." in page
    assert len(page) < 2_000_000


def test_the_worst_mistakes_can_be_heard_and_seen(written):
    page, report = ((written / name).read_text() for name in ("report.html", "report.json"))
    count = len(json.loads(report)["mistakes"])
    assert count > 3
    sounds = re.findall(r'<audio [^>]*src="data:audio/[a-z]+;base64,([^"]+)"', page)
    assert len(sounds) == count == len(re.findall(r'<img [^>]*src="data:image/png', page))
    assert all(len(base64.b64decode(sound)) > 4_000 for sound in sounds)


def test_the_json_holds_what_the_page_shows(written, artefact):
    report = json.loads((written / "report.json").read_text())
    manifest = json.loads((artefact / "manifest.json").read_text())
    assert report["thresholds"] == {
        label["name"]: label["threshold"] for label in manifest["labels"]
    }
    assert report["sources"] == manifest["metrics"]["left_out"]
    assert report["labels"]["piano"]["support"] == 5
    assert np.sum(report["confusion"]) == 55


def test_a_second_report_takes_the_place_of_the_first(written, artefact, windows):
    again = folder.write(
        artefact, about="Again.", evaluated=[], history={}, windows=windows, split=""
    )
    page = (again / "report.html").read_text()
    assert "Again." in page
    assert "No source was kept from the training" in page
    assert [path.name for path in again.parent.iterdir()] == [again.name]
    assert not (again / "model.joblib").exists()
