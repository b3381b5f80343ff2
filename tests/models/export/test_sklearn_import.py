"""A pipeline of one's own, in a pickle, becomes an artefact, or is rejected by name."""

import json
import pickle
import re
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.cli import main
from models.export.estimators import scores_of
from models.store import Store
from training.recordings.table import write_table


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch, windows):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", windows[0])


def saved(name, windows, model=None, truth=None):
    rows, present = windows
    model = model or RandomForestClassifier(10, random_state=0)
    pipeline = make_pipeline(StandardScaler(), PCA(16), model)
    pipeline.fit(rows.astype(np.float64), present if truth is None else truth)
    if name.endswith(".pkl"):
        Path(name).write_bytes(pickle.dumps(pipeline))
    else:
        joblib.dump(pipeline, name)
    return pipeline


def imported(*words, file="my.joblib", features="rows.npy"):
    return main(["import", file, "--name", "mine", "--features", features, *words])


@pytest.mark.parametrize("file", ["my.joblib", "my.pkl"])
def test_a_pickled_pipeline_becomes_an_artefact_of_the_same_scores(windows, file, capsys):
    pipeline = saved(file, windows)
    assert imported("--labels", "piano, violin,flute", file=file) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == "artefacts/mine/1"
    assert f"loading {file}, which runs code that is in it" in printed.err
    model = Store("artefacts").load("mine")
    assert list(model.labels) == ["piano", "violin", "flute"]
    assert model.manifest.input.configuration["window"] == 44_100
    rows = windows[0]
    np.testing.assert_allclose(model.predict(rows), scores_of(pipeline, rows), atol=1e-5)
    proba = pipeline.predict_proba(rows.astype(np.float64))
    np.testing.assert_allclose(model.predict(rows)[:, 1], proba[1][:, 1], atol=1e-5)
    assert "RandomForestClassifier(n_estimators=10" in model.manifest.origin["estimator"]


def test_a_table_gives_labels_and_window(windows, tmp_path):
    rows, present = windows
    saved("my.joblib", windows)
    columns = {
        "labels": present,
        "groups": np.zeros(400),
        "clips": np.arange(400),
        "starts": np.zeros(400),
        "parts": np.zeros(400),
        "copies": np.zeros(400),
    }
    about = {"labels": ["a", "b", "c"], "sources": ["s"], "rate": 22_050, "window_s": 3.0}
    tensors = {"features": (rows.shape, [rows])}
    write_table(tmp_path / "table", about=about, columns=columns, tensors=tensors)
    assert imported("--threshold", "0.25", "--out", "out", features="table") == 0
    manifest = Store("out").load("mine").manifest
    assert [(label.name, label.threshold) for label in manifest.labels] == [
        ("a", 0.25), ("b", 0.25), ("c", 0.25),
    ]  # fmt: skip
    assert manifest.input.configuration["window"] == 66_150


def test_classes_that_exclude_each_other_keep_their_names(windows):
    truth = np.array(["owl", "jay", "tit"])[windows[1] @ [1, 1, 0]]
    saved("my.joblib", windows, KNeighborsClassifier(), truth)
    assert imported() == 0
    manifest = Store("artefacts").load("mine").manifest
    assert [label.name for label in manifest.labels] == ["jay", "owl", "tit"]
    assert manifest.task == "multi-class"


def test_an_imported_model_is_promoted_with_its_time_and_size(windows, capsys):
    saved("my.joblib", windows, KNeighborsClassifier())
    assert imported("--labels", "a,b,c") == 0
    capsys.readouterr()
    assert main(["promote", "mine", "1", "--to", "served", "--quiet", "0"]) == 0
    assert re.search(r"served/mine/1  latency_ms \S+  size_mb \S+", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--labels is needed: 3 names in the order of the scores"),
        (["--labels", "a,b"], "2 labels (a, b) for 3 scores"),
        (["--labels", "a,b,b"], "labels must be named, each once"),
        (["--labels", "a,b,c", "--name", "My Own"], "name='My Own' must be lower-case words"),
        (["--labels", "a,b,c", "--threshold", "2"], "thresholds must lie between 0 and 1"),
        (["--labels", "a,b,c", "--window", "0.4"], "--window 0.4 must be from 0.5 to 15 s"),
        (["--labels", "a,b,c", "--window", "15.1"], "--window 15.1 must be from 0.5 to 15 s"),
        (["--labels", "a,b,c", "--features", "none"], "none is neither a table with features nor"),
        (["--labels", "a,b,c", "--features", "my.joblib"], "my.joblib is neither a table"),
        (["--labels", "a,b,c", "--features", "narrow.npy"], "rows of 26 features are needed"),
        (["--labels", "a,b,c", "--features", "nan.npy"], "numbers that are not finite"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(windows, words, message, capsys):
    saved("my.joblib", windows)
    np.save("narrow.npy", windows[0][:, :25])
    np.save("nan.npy", np.full((3, 26), np.nan, np.float32))
    assert imported(*words) == 1
    assert message in capsys.readouterr().err
    assert not Store("artefacts").names()


@pytest.mark.parametrize("window", ["0.5", "15"])
def test_windows_at_their_limits_are_taken(windows, window):
    saved("my.joblib", windows)
    assert imported("--labels", "a,b,c", "--window", window) == 0


class Explodes:
    def __reduce__(self):
        return (eval, ("1 / 0",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no pickle", "my.joblib cannot be loaded"),
        (pickle.dumps(Explodes()), "my.joblib cannot be loaded: division by zero"),
        (pickle.dumps({"model": 1}), "holds dict, not a classifier"),
        (pickle.dumps(RandomForestRegressor()), "holds RandomForestRegressor, not a classifier"),
        (pickle.dumps(RandomForestClassifier()), "RandomForestClassifier is not fitted"),
        (None, "my.joblib cannot be loaded: "),
    ],
)
def test_a_file_that_holds_no_fitted_classifier_is_rejected(tmp_path, content, message, capsys):
    if content is not None:
        (tmp_path / "my.joblib").write_bytes(content)
    assert imported("--labels", "a") == 1
    assert message in capsys.readouterr().err


def test_a_pipeline_of_other_features_is_rejected(windows, capsys):
    rows, present = windows
    joblib.dump(KNeighborsClassifier().fit(rows[:, :16], present), "my.joblib")
    assert imported("--labels", "a,b,c") == 1
    assert "it takes 16 features, where a window has 26" in capsys.readouterr().err


def test_the_order_of_classes_is_that_of_the_estimator(windows, capsys):
    saved("my.joblib", windows, truth=np.array(["owl", "jay"])[windows[1][:, 0].astype(int)])
    assert imported("--labels", "owl,jay") == 1
    assert "--labels must be in the order of the classes: jay,owl" in capsys.readouterr().err
    assert imported("--labels", "Garrulus,Strix", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"path": "artefacts/mine/1"}
