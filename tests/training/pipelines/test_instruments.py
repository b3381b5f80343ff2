"""The recipe from material to artefacts, on a handful of windows."""

import csv
import shutil
from pathlib import Path

import joblib
import numpy as np
import pytest
import soundfile

from features.config import DEFAULT
from models.store import Store
from tests.training.pipelines.helpers.splits import parts_beside_each
from training.cli import main
from training.pipelines import performance_events

RATE = 22_050
PERFORMANCES = 4
"""Of each source: fewer than a training has, to save time."""


def tone(pitch, partials, *, seconds=1.0):
    time = np.arange(int(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * pitch * n * time) / n**2 for n in partials)
    return 0.3 * np.exp(-time) * wave


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two sources of two instruments: flutes of odd partials, cellos of all of them."""
    folder = tmp_path_factory.mktemp("data")
    for number, source in enumerate(("here", "there")):
        for label, base, partials in (("flute", 520, range(1, 8, 2)), ("cello", 130, range(1, 20))):
            (folder / source / label).mkdir(parents=True)
            for step in range(4):
                pitch = base * 2 ** ((step + number / 2) / 12)
                soundfile.write(
                    folder / source / label / f"{step}.wav", tone(pitch, partials), RATE
                )
    return folder


def train(data, folder, *changes):
    settings = [
        "profile=quick",
        f"data={data}",
        f"cache={data / 'cache'}",
        "jobs=1",
        "material.fonts=[]",
    ]
    settings += [
        "material.judges=[]",
        "material.folders=here,there",
        "material.ensemble=''",
        "train.mix=8",
        "train.across=8",
        "train.noise=8",
        "test.mix=4",
        "test.noise=8",
        *changes,
    ]
    return main(
        [
            "instruments",
            "--out",
            str(folder),
            *(word for change in settings for word in ("--set", change)),
        ]
    )


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("artefacts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(performance_events, "PERFORMANCES", PERFORMANCES)
        assert train(data, folder) == 0
    return Store(folder)


def test_one_command_makes_the_artefacts_and_the_store_accepts_them(made):
    assert len(made.names()) == 3
    assert "instruments" in made.names()
    assert {made.load(name).kind for name in made.names()} == {"features", "log_mel"}


@pytest.mark.parametrize("number", [0, 1])
def test_an_artefact_answers_with_eleven_scores(made, number):
    model = made.load(made.names()[number])
    scores = model.predict(np.zeros((3, *DEFAULT.shape(model.kind)), np.float32))
    assert scores.shape == (3, 11)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_the_manifest_holds_the_figures_of_every_source_left_out(made):
    metrics = made.load("instruments").manifest.metrics
    assert set(metrics["left_out"]) == {"here", "there"}
    for figures in metrics["left_out"].values():
        assert figures["quiet_windows"] > 0
        assert figures["recordings"] == 2 * (4 + 20), "four notes and twenty solos of either label"
        assert set(figures["labels_left_out"]) | {"flute", "cello"} == set(figures["f1"])
    for figure in ("macro_f1", "macro_f1_mixture", "top1_recording_note", "top1_recording_solo"):
        assert 0 <= metrics["mean"][figure] <= 1
    assert next(iter(metrics["threshold_choices"])) == "F-0.8, mixtures by number"


def test_the_better_of_the_two_is_named_instruments(made):
    figures = {name: made.load(name).manifest.metrics["mean"]["macro_f1"] for name in made.names()}
    assert set(figures) == {"instruments", "instruments-forest", "instruments-net"}
    assert figures["instruments"] == max(figures.values())


def test_the_report_shows_both_models_and_the_baselines(made):
    report = Path(made.path, "instruments", "1", "report.md").read_text()
    for text in (
        *made.names(),
        "all negative",
        "majority",
        "source",
        "whole solos",
        "What each choice of thresholds costs",
        "| here |",
        "| there |",
    ):
        assert text in report
    assert "licence" in report


def test_a_source_held_out_is_judged_and_never_trained_on(data, tmp_path):
    assert train(data, tmp_path, "holdout=there", "models=forest") == 0
    metrics = Store(tmp_path).load("instruments").manifest.metrics
    assert metrics["left_out"] == {}, "one source is left, and nothing to leave out"
    assert set(metrics["never_trained_on"]) == {"there"}
    lines = (tmp_path / "reports/instruments-1/split.csv").read_text().splitlines()
    rows = {row["source"]: row for row in csv.DictReader(lines)}
    assert (rows["here"]["part"], rows["there"]["part"]) == ("train", "test")
    assert int(rows["here"]["train windows"]) > 0
    assert int(rows["there"]["train windows"]) == 0
    assert int(rows["there"]["test windows"]) > 0


def test_a_holdout_that_is_no_source_is_refused(data, tmp_path, capsys):
    assert train(data, tmp_path, "holdout=elsewhere", "models=forest") == 1
    assert "no source elsewhere; there is here, there" in capsys.readouterr().err


def test_without_material_it_says_what_to_do(data, tmp_path, capsys):
    assert train(data, tmp_path, "material.folders=nowhere", "models=forest") == 1
    assert "nothing to train on" in capsys.readouterr().err


def test_one_label_alone_is_refused_with_what_to_add(data, tmp_path, capsys):
    for source in ("here", "there"):
        shutil.copytree(data / source / "flute", tmp_path / source / "flute")
    few = [
        f"{part}.{kind}=1"
        for part in ("train", "test")
        for kind in ("note", "solo", "mix", "silence", "noise")
    ]
    assert train(tmp_path, tmp_path / "out", "models=forest", *few) == 1
    assert (
        "only flute to train on: add folders or sound fonts that have piano"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_labels_without_an_example_are_named(data, tmp_path, capsys):
    assert train(data, tmp_path, "models=forest", "evaluate=false") == 0
    report = (tmp_path / "instruments" / "1" / "report.md").read_text()
    assert "the first of instruments-forest, for no macro-F1" in report
    assert (
        "no material for piano, harpsichord, violin, viola, contrabass" in capsys.readouterr().err
    )


def test_a_wrong_setting_ends_with_one_line_and_exit_code_1(data, tmp_path, capsys):
    assert train(data, tmp_path, "network.layers=9") == 1
    assert "unknown setting layers" in capsys.readouterr().err


@pytest.mark.slow  # trains all networks again
def test_the_artefact_holds_the_recipe_that_makes_it_again_with_the_same_scores(
    made, data, tmp_path
):
    model = made.load("instruments-forest")
    again = tmp_path / "again.toml"
    again.write_text(model.manifest.origin["recipe"])
    where = (f"data={data}", f"cache={data / 'cache'}", "jobs=1")
    # Else the networks would only be read again.
    for kept in (data / "cache").glob("windows-*/networks"):
        shutil.rmtree(kept)
    assert (
        main(
            [
                str(again),
                "--out",
                str(tmp_path),
                *(word for one in where for word in ("--set", one)),
            ]
        )
        == 0
    )
    for name in ("instruments-forest", "instruments-net"):
        first, second = (Path(folder, name, "1", "golden.npz") for folder in (made.path, tmp_path))
        with np.load(first) as one, np.load(second) as other:
            np.testing.assert_array_equal(one["inputs"], other["inputs"])
            np.testing.assert_array_equal(one["scores"], other["scores"])
        assert made.load(name).manifest.metrics == Store(tmp_path).load(name).manifest.metrics


@pytest.mark.slow  # trains once more
def test_a_killed_recipe_goes_on_with_the_networks_that_were_not_done(made, data, tmp_path):
    done = {path: path.stat().st_mtime_ns for path in (data / "cache").glob("windows-*/networks/*")}
    assert len(done) == 3 * 2, "without here, without there, of everything; two members each"
    lost = min(done)
    lost.unlink()
    assert train(data, tmp_path, "models=network") == 0
    now = {path: path.stat().st_mtime_ns for path in (data / "cache").glob("windows-*/networks/*")}
    assert {path for path in now if now[path] != done[path]} == {lost}
    first, second = (
        Store(path).load("instruments-net").manifest.metrics for path in (made.path, tmp_path)
    )
    assert first == second


def test_beside_the_artefacts_lie_reports_and_the_forest_for_scikit_learn(made):
    folder = made.path / "reports"
    assert {path.name for path in folder.iterdir()} == {f"{name}-1" for name in made.names()}
    assert parts_beside_each(made.path) == {name: {"train"} for name in made.names()}
    page = (folder / "instruments-net-1" / "report.html").read_text()
    assert "loss on windows not trained on" in page
    model, row = made.load("instruments-forest"), np.ones((1, 26), np.float32)
    said = joblib.load(folder / "instruments-forest-1" / "model.joblib").predict_proba(
        row.astype(np.float64)
    )
    flute = model.labels.index("flute")
    assert said[flute][0, 1] == pytest.approx(model.predict(row)[0, flute], abs=1e-4)


@pytest.mark.parametrize("name", ["instruments-forest", "instruments-net"])
def test_events_of_performances_by_the_sources_left_out_are_scored(made, name):
    manifest = made.load(name).manifest
    found = manifest.metrics["events"]
    assert (found["recordings"], found["sources"]) == (2 * PERFORMANCES, 2)
    assert found["pause_s"] == pytest.approx(1.7)
    for label in ("flute", "cello"):
        assert found["labels"][label]["events"] >= 2 * PERFORMANCES
    assert found["labels"]["oboe"]["f1"]["1"] is None
    for figure in ("macro_f1", "macro_f1_onset", "macro_f1_baseline"):
        assert all(0 <= value <= 1 for value in found[figure].values())
    for label in manifest.labels:
        settings = found["settings"][label.name]
        assert {key: settings[key] for key in label.events} == label.events
        assert (settings["why"] == "calibrated") is bool(label.events)
    assert found["settings"]["oboe"]["why"].startswith("defaults: fewer than 20")
    page = Path(made.path, "reports", f"{name}-1", "report.html").read_text()
    assert f"{2 * PERFORMANCES} recordings of 2 sources that the model was not trained on" in page
