"""`timbre train` on recordings with known onsets: the settings and the figures of their events."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from models.store import Store
from training.cli import main
from training.common.recipe import RecipeError, load

RATE = 22_050
QUICK = ("profile=quick", "forest.components=8", "collection.path=garden", "cache=cache", "quiet=0")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def tracks(folder, *, sources=5, seconds=60):
    """Recordings of high and low tones by turns, 1.5 to 4 s each, with label tracks beside."""
    for source in range(sources):
        rng = np.random.default_rng(source)
        sound, lines, at = rng.normal(0, 0.01, seconds * RATE), [], 1.0
        while at < seconds - 5:
            label, hertz = (("low", 200), ("high", 2000))[int(rng.integers(2))]
            end = at + rng.uniform(1.5, 4.0)
            time = np.arange(round((end - at) * RATE)) / RATE
            first = round(at * RATE)
            sound[first : first + len(time)] += 0.3 * np.sin(
                2 * np.pi * (hertz + 20 * source) * time
            )
            lines.append(f"{at:.6f}\t{end:.6f}\t{label}\n")
            at = end + rng.uniform(1.2, 3.0)
        path = folder / f"player{source}" / "take.wav"
        path.parent.mkdir(parents=True)
        sf.write(path, sound.astype(np.float32), RATE)
        path.with_suffix(".txt").write_text("".join(lines))


def train(*changes):
    return main(["sounds", "--out", "out", *(w for c in (*QUICK, *changes) for w in ("--set", c))])


def figures():
    return Store(Path("out")).load("sounds").manifest.metrics.get("events")


def test_events_of_held_out_recordings_are_scored_beside_windows_and_a_baseline():
    tracks(Path("garden"))
    # Nothing sounds here for certain, but it is too short for a window.
    sf.write("garden/player4/short.wav", np.zeros(RATE), RATE)
    Path("garden/player4/short.txt").write_text("0.0\t0.5\tlow\n")
    assert train("collection.kind=audacity") == 0
    found = figures()
    assert found["recordings"] == found["sources"] == 1
    assert found["seconds"] == 60
    assert (found["pause_s"], found["window_s"]) == (1.0, 2.0)
    assert found["hop_s"] == pytest.approx(11_264 / RATE)
    assert 0 < found["macro_f1"]["1"] <= found["macro_f1_onset"]["1"]
    assert found["macro_f1"]["0.25"] <= found["macro_f1"]["0.5"] <= found["macro_f1"]["1"]
    assert found["macro_f1_baseline"]["1"] == 0.0
    assert sum(one["events"] for one in found["labels"].values()) >= 8
    assert abs(found["onset_error"]["median"]) < 1.0
    report = json.loads(Path("out/reports/sounds-1/report.json").read_text())
    assert report["events"] == found
    page = Path("out/reports/sounds-1/report.html").read_text()
    for text in (page, Path("out/sounds/1/report.md").read_text()):
        assert "Events" in text
        assert "Onsets are told" in text
        assert "default settings" in text


@pytest.mark.slow  # a training of its own
def test_the_notes_of_musicnet_are_onsets_too():
    """A note from 4 to 9 s and one from 12 to 17 s, with a short one behind it, are two events."""
    for number in range(5):
        folder, rate = Path("garden"), 44_100
        (folder / "train_data").mkdir(parents=True, exist_ok=True)
        (folder / "train_labels").mkdir(exist_ok=True)
        notes = [(4, 9, 1), (12, 17, 1), (17.5, 18, 1), (1, 3, 41), (9, 14, 41)]
        sound = np.random.default_rng(number).normal(0, 0.01, 20 * rate)
        for start, end, program in notes:
            time = np.arange(round((end - start) * rate)) / rate
            first = round(start * rate)
            sound[first : first + len(time)] += 0.3 * np.sin(2 * np.pi * 100 * program * time)
        sf.write(folder / "train_data" / f"{number}.wav", sound, rate)
        rows = [f"{round(a * rate)},{round(b * rate)},{program}\n" for a, b, program in notes]
        text = "".join(["start_time,end_time,instrument\n", *rows])
        (folder / "train_labels" / f"{number}.csv").write_text(text)
    assert train("collection.kind=musicnet") == 0
    found = figures()
    assert (found["recordings"], found["seconds"]) == (1, 20)
    assert {name: one["events"] for name, one in found["labels"].items()} == {
        "piano": 2,
        "violin": 2,
    }


@pytest.mark.parametrize("calibrated", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_settings_are_those_chosen_or_the_defaults(calibrated, monkeypatch):
    from training.evaluation import recording_events

    monkeypatch.setattr(recording_events, "LEAST_EVENTS", 4)
    monkeypatch.setattr(recording_events, "GAPS", (0.25,))
    monkeypatch.setattr(recording_events, "LEAST_GAIN", -1.0)
    tracks(Path("garden"))
    assert train("collection.kind=audacity", f"events.calibrate={str(calibrated).lower()}") == 0
    labels = Store(Path("out")).load("sounds").manifest.labels
    assert [label.events.get("gap") for label in labels] == [0.25 if calibrated else None] * 2
    for label in labels:
        found = figures()["settings"][label.name]
        assert found["threshold"] == label.threshold
        assert {key: found[key] for key in label.events} == label.events
        assert (found["why"] == "calibrated") is calibrated


@pytest.mark.slow  # a training of its own
def test_few_events_keep_the_defaults_and_the_report_says_so():
    tracks(Path("garden"), seconds=30)
    assert train("collection.kind=audacity") == 0
    assert [label.events for label in Store(Path("out")).load("sounds").manifest.labels] == [{}, {}]
    whys = {one["why"] for one in figures()["settings"].values()}
    assert whys == {"defaults: fewer than 20 events to choose by"}
    assert "fewer than 20 events" in Path("out/reports/sounds-1/report.html").read_text()


@pytest.mark.slow  # a training of its own
def test_a_collection_of_whole_files_has_no_events_to_score(by_source, tmp_path):
    (tmp_path / "collection").rename(tmp_path / "garden")
    assert train("windows.length=1", "windows.hop=0.5") == 0
    assert figures() is None
    assert ">Events<" not in Path("out/reports/sounds-1/report.html").read_text()


def test_without_a_part_to_test_with_there_are_settings_only():
    tracks(Path("garden"), sources=3)
    assert train("collection.kind=audacity", "split.shares=[0.7, 0.3, 0]") == 0
    assert set(figures()) == {"settings", "pause_s"}
    assert "settings only" in Path("out/reports/sounds-1/report.html").read_text()


def test_the_switch_is_true_or_false():
    with pytest.raises(RecipeError, match="calibrate"):
        load("sounds", ["events.calibrate=often"])
    assert load("instruments", ["events.calibrate=false"]).events.calibrate is False
