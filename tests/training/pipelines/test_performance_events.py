"""Events of performances: each source by the model, the thresholds and the settings of others."""

import numpy as np
import pytest
import soundfile

from training.common.labels import LABELS, RATE
from training.common.progress import stage
from training.common.recipe import load
from training.evaluation.leave_one_out import SourceScores
from training.notes.library import library_of_folder
from training.pipelines import performance_events
from training.pipelines.performance_events import with_events
from training.pipelines.sound_model import Candidate

FLUTE = LABELS.index("flute")
RULE = {"quiet": 0.5, "beta": 1.0}


class Listener:
    """Hears a flute in whatever is loud, always with the same score."""

    history = ()

    def scores(self, tensors):
        """Return 0.8 for the flute where the spectrogram has a loud point."""
        found = np.zeros((len(tensors), len(LABELS)), np.float32)
        found[np.asarray(tensors).max(axis=(1, 2)) > 0, FLUTE] = 0.8
        return found


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    found = {}
    for source, hertz in (("here", 600), ("there", 650)):
        (folder / source / "flute").mkdir(parents=True)
        sound = 0.5 * np.sin(2 * np.pi * hertz * np.arange(3 * RATE) / RATE)
        soundfile.write(folder / source / "flute" / "note.wav", sound, RATE)
        found[source] = library_of_folder(folder / source, folder / "cache")
    return found


def evaluated(source, lowest):
    """Windows of a source, of which those with a flute have scores from `lowest` on."""
    labels = np.zeros((40, len(LABELS)), np.bool_)
    labels[:20, FLUTE] = True
    scores = np.where(labels, lowest + 0.02, lowest - 0.05).astype(np.float32)
    return SourceScores(source, scores, labels, np.full(40, "solo"))


def candidate(**lowest):
    return Candidate(
        model="network",
        fitted=Listener(),
        evaluated=[evaluated(source, value) for source, value in lowest.items()],
        thresholds=np.full(len(LABELS), 0.5, np.float32),
        metrics={"mean": {}},
        history={},
        kind="log_mel",
    )


def run(made, libraries, *changes):
    models = {one.source: Listener() for one in made.evaluated}
    return with_events(load("instruments", changes), made, models, libraries, RULE, stage)


def test_the_figures_are_of_every_source_and_the_settings_of_the_artefact(libraries):
    made = run(candidate(here=0.5, there=0.5), libraries)
    found = made.metrics["events"]
    assert made.metrics["mean"] == {}
    assert (found["recordings"], found["sources"]) == (2 * performance_events.PERFORMANCES, 2)
    flute = found["labels"]["flute"]
    assert flute["events"] >= 20
    assert flute["recall"]["1"] > 0
    assert flute["f1_onset"]["1"] >= flute["f1"]["1"]
    assert found["settings"]["flute"]["threshold"] == 0.5
    assert set(made.events) <= {"flute"}


def test_a_source_is_judged_by_the_thresholds_of_the_others(libraries, monkeypatch):
    """With the thresholds of `here` nothing is heard: they are above every score."""
    monkeypatch.setattr(performance_events, "PERFORMANCES", 2)

    def predicted(**lowest):
        made = run(candidate(**lowest), libraries, "events.calibrate=false")
        return made.metrics["events"]["labels"]["flute"]["predicted"]

    found, other = predicted(here=0.9, there=0.5), predicted(here=0.5, there=0.9)
    assert predicted(here=0.9, there=0.9) == 0
    assert min(found, other) > 0
    assert found + other == predicted(here=0.5, there=0.5)


def test_settings_are_the_defaults_where_that_is_asked_for(libraries, monkeypatch):
    monkeypatch.setattr(performance_events, "PERFORMANCES", 2)
    made = run(candidate(here=0.5, there=0.5), libraries, "events.calibrate=false")
    assert made.events == {}
    assert made.metrics["events"]["macro_f1"] == made.metrics["events"]["macro_f1_defaults"]


def test_without_a_source_left_out_there_are_no_figures(libraries):
    made = candidate()
    assert run(made, libraries) is made
