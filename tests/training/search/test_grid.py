"""Grid search beside scikit-learn's, killed, resumed, and spread over the workers of a cluster."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from training.search import BySource, ResumableGridSearchCV, SearchError

ROOT = Path(__file__).parents[3]
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(120, 5))
LABELS = ROWS[:, :3] + 0.5 * RNG.normal(size=(120, 3)) > 0
CLASSES = np.array(["flute", "horn", "oboe"])[np.abs(ROWS[:, 0]).round().astype(int).clip(0, 2)]
FOLDS = KFold(3, shuffle=True, random_state=0)
FOREST = RandomForestClassifier(5, random_state=0)


def same_scores(ours, theirs):
    assert list(ours) == list(theirs)
    for key in ours:
        if "score" in key and "time" not in key:
            np.testing.assert_array_equal(ours[key], theirs[key])
    assert ours["params"] == theirs["params"]


@pytest.mark.parametrize(
    ("estimator", "grid", "labels", "scoring"),
    [
        (FOREST, {"max_depth": [1, None], "criterion": ["gini", "entropy"]}, LABELS, None),
        (FOREST, [{"max_depth": [2]}, {"max_features": [1, 3]}], CLASSES, "f1_macro"),
        (
            make_pipeline(PCA(2), KNeighborsClassifier()),
            {"kneighborsclassifier__n_neighbors": [1, 5]},
            LABELS,
            None,
        ),
        (Ridge(), {"alpha": [0.1, 10.0]}, ROWS[:, 0], "neg_mean_squared_error"),
    ],
)
def test_it_gives_what_grid_search_gives(estimator, grid, labels, scoring):
    options = {"scoring": scoring, "cv": FOLDS, "return_train_score": True}
    theirs = GridSearchCV(estimator, grid, **options).fit(ROWS, labels)
    ours = ResumableGridSearchCV(estimator, grid, n_jobs=2, **options).fit(ROWS, labels)
    same_scores(ours.cv_results_, theirs.cv_results_)
    assert (ours.best_params_, ours.best_score_, ours.best_index_, ours.n_splits_) == (
        theirs.best_params_, theirs.best_score_, theirs.best_index_, theirs.n_splits_
    )  # fmt: skip
    np.testing.assert_array_equal(ours.predict(ROWS), theirs.predict(ROWS))
    assert ours.score(ROWS, labels) == theirs.score(ROWS, labels)


@pytest.mark.parametrize("cv", [GroupKFold(2), BySource()])
def test_it_splits_by_source(cv):
    sources = np.array(["a", "b", "c"])[np.arange(120) % 3]
    theirs = GridSearchCV(FOREST, {"max_depth": [1, 2]}, cv=cv).fit(ROWS, LABELS, groups=sources)
    ours = ResumableGridSearchCV(FOREST, {"max_depth": [1, 2]}, cv=cv).fit(
        ROWS, LABELS, groups=sources
    )
    same_scores(ours.cv_results_, theirs.cv_results_)


def test_own_scorings_count_labels():
    found = {
        scoring: ResumableGridSearchCV(
            FOREST, {"max_depth": [2]}, scoring=scoring, cv=[(range(80), range(80, 120))]
        )
        for scoring in ("elementwise_accuracy", "neg_log_loss")
    }
    fitted = clone(FOREST).set_params(max_depth=2).fit(ROWS[:80], LABELS[:80])
    said = np.stack([p[:, 1] for p in fitted.predict_proba(ROWS[80:])], axis=1)
    right = np.where(LABELS[80:], said, 1 - said).clip(1e-15)
    expected = {"elementwise_accuracy": (fitted.predict(ROWS[80:]) == LABELS[80:]).mean()}
    expected["neg_log_loss"] = np.log(right).mean()
    for scoring, search in found.items():
        assert search.fit(ROWS, LABELS).best_score_ == pytest.approx(expected[scoring])


def test_results_come_with_progress_and_a_wider_grid_does_only_what_is_new(tmp_path):
    told = []
    options = {"cv": FOLDS, "folder": tmp_path, "progress": lambda *now: told.append(now)}
    first = ResumableGridSearchCV(FOREST, {"max_depth": [1, 2]}, **options).fit(ROWS, LABELS)
    assert [now[:2] for now in told] == [(i, 6) for i in range(1, 7)]
    assert np.isnan(told[1][2])
    assert told[-1][2] == first.best_score_
    assert len((tmp_path / "tasks.jsonl").read_text().splitlines()) == 6
    told.clear()
    wider = ResumableGridSearchCV(FOREST, {"max_depth": [1, 2, 3]}, **options).fit(ROWS, LABELS)
    assert wider.resumed_ == 6
    assert [now[:2] for now in told] == [(i, 9) for i in range(7, 10)]
    np.testing.assert_array_equal(
        wider.cv_results_["split0_test_score"][:2], first.cv_results_["split0_test_score"]
    )  # fmt: skip


@pytest.mark.parametrize("change", ["rows", "labels", "estimator", "scoring", "folds"])
def test_other_data_or_settings_find_nothing_on_disk(tmp_path, change):
    def fit(**given):
        estimator = clone(FOREST).set_params(max_features=given.get("estimator", 2))
        options = {
            "cv": given.get("folds", FOLDS),
            "scoring": given.get("scoring"),
            "folder": tmp_path,
        }
        search = ResumableGridSearchCV(estimator, {"max_depth": [1]}, refit=False, **options)
        return search.fit(given.get("rows", ROWS), given.get("labels", LABELS)).resumed_

    other = {
        "rows": ROWS + 1e-9,
        "labels": ~LABELS,
        "estimator": 1,
        "scoring": "f1_macro",
        "folds": KFold(3),
    }
    assert [fit(), fit(), fit(**{change: other[change]})] == [0, 3, 0]


SCRIPT = """
import sys, numpy as np
from pathlib import Path
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import KFold
from training.search import ResumableGridSearchCV

class Counted(RandomForestClassifier):
    def fit(self, rows, labels):
        with Path(sys.argv[2]).open("a") as file:
            print(self.max_depth, len(labels), file=file, flush=True)
        return super().fit(rows, labels)

rng = np.random.default_rng(0)
rows = rng.normal(size=(300, 5))
search = ResumableGridSearchCV(
    Counted(30, random_state=0), {"max_depth": [1, 2, 3, 4, 5]}, refit=False,
    cv=KFold(4, shuffle=True, random_state=0), folder=sys.argv[1])
search.fit(rows, rows[:, :3] > 0)
print(search.resumed_, *(repr(float(score)) for score in search.cv_results_["mean_test_score"]))
"""


@pytest.mark.slow  # three searches in processes of their own
def test_a_search_killed_midway_goes_on_and_does_nothing_twice(tmp_path):
    def start(folder, fits):
        command = [sys.executable, "-c", SCRIPT, folder, fits]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )

    journal, fits = tmp_path / "tasks.jsonl", tmp_path / "fits"
    killed = start(tmp_path, fits)
    deadline = time.monotonic() + 250
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    kept = journal.read_bytes().count(b"\n")
    assert 3 <= kept < 20
    begun = len(fits.read_text().splitlines())
    with journal.open("ab") as file:
        file.write(b'{"key": "cut sho')
    resumed, *scores = start(tmp_path, fits).communicate()[0].split()
    assert int(resumed) == kept
    assert len(fits.read_text().splitlines()) - begun == 20 - kept
    rows = np.random.default_rng(0).normal(size=(300, 5))
    whole = ResumableGridSearchCV(
        RandomForestClassifier(30, random_state=0),
        {"max_depth": [1, 2, 3, 4, 5]},
        refit=False,
        cv=KFold(4, shuffle=True, random_state=0),
    ).fit(rows, rows[:, :3] > 0)
    assert [float(score) for score in scores] == whole.cv_results_["mean_test_score"].tolist()
    assert len({json.loads(line)["key"] for line in journal.read_text().splitlines()}) == 20


def test_a_file_that_is_no_journal_is_refused_by_its_line(tmp_path):
    search = ResumableGridSearchCV(FOREST, {"max_depth": [1]}, cv=FOLDS, folder=tmp_path)
    search.fit(ROWS, LABELS)
    (tmp_path / "tasks.jsonl").write_bytes((tmp_path / "tasks.jsonl").read_bytes() + b"[1]\n")
    with pytest.raises(SearchError, match="line 4 is not a search result"):
        search.fit(ROWS, LABELS)
    with pytest.raises(SearchError, match="cannot be read"):
        clone(search).set_params(folder=tmp_path / "tasks.jsonl" / "x").fit(ROWS, LABELS)


def test_a_disk_without_room_is_told_and_what_is_finished_is_kept(tmp_path):
    search = ResumableGridSearchCV(FOREST, {"max_depth": [1, 2]}, cv=FOLDS, folder=tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, limits[1]))
    try:
        with pytest.raises(
            SearchError, match=r"tasks.jsonl cannot be written: File too large; .* make room"
        ):
            search.fit(ROWS, LABELS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 0 < search.fit(ROWS, LABELS).resumed_ < 6


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_fails_scores_nothing_and_is_tried_again(tmp_path):
    grid = {"solver": ["lbfgs", "liblinear"]}
    search = ResumableGridSearchCV(LogisticRegression(), grid, cv=FOLDS, folder=tmp_path).fit(
        ROWS, CLASSES
    )
    scores = search.cv_results_["mean_test_score"]
    assert np.isnan(scores).tolist() == [False, True]
    assert search.cv_results_["rank_test_score"].tolist() == [1, 2]
    assert search.best_params_ == {"solver": "lbfgs"}
    assert search.fit(ROWS, CLASSES).resumed_ == 3
    with pytest.raises(
        SearchError, match=r"every fit failed, the first with: ValueError: .*liblinear"
    ):
        ResumableGridSearchCV(LogisticRegression(), {"solver": ["liblinear"]}, cv=FOLDS).fit(
            ROWS, CLASSES
        )
    with pytest.raises(ValueError, match="liblinear"):
        ResumableGridSearchCV(LogisticRegression(), grid, cv=FOLDS, error_score="raise").fit(
            ROWS, CLASSES
        )


@pytest.mark.parametrize(
    ("grid", "labels", "options", "message"),
    [
        (
            {"depth": [1]},
            LABELS,
            {},
            "unknown grid key 'depth'; DecisionTreeClassifier has .*max_depth",
        ),
        ({}, LABELS, {}, "grid is empty"),
        ({"max_depth": [1]}, np.zeros(120), {}, "only one class"),
        ({"max_depth": [1]}, LABELS, {"cv": KFold(121)}, "fewer folds"),
        ({"max_depth": [1]}, LABELS, {"scoring": "best"}, "unknown scoring 'best'"),
        ({"max_depth": [1]}, LABELS, {"cv": BySource()}, "1 source cannot"),
        (
            {"max_depth": [1]},
            LABELS,
            {"dask": "foo:bar"},
            "'foo:bar' is not the address of a Dask scheduler",
        ),
        (
            {"max_depth": [1]},
            LABELS,
            {"dask": "tcp://127.0.0.1:9"},
            "no Dask scheduler answers at tcp://127.0.0.1:9",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(grid, labels, options, message):
    search = ResumableGridSearchCV(DecisionTreeClassifier(), grid, **{"cv": FOLDS} | options)
    with pytest.raises(SearchError, match=message):
        search.fit(ROWS, labels, groups=np.zeros(120) if isinstance(search.cv, BySource) else None)


@pytest.mark.slow  # starts a cluster
def test_a_cluster_of_two_workers_gives_the_same_results(tmp_path):
    distributed = pytest.importorskip("distributed")
    grid = {"max_depth": [1, 2, 3]}
    alone = ResumableGridSearchCV(FOREST, grid, cv=FOLDS).fit(ROWS, LABELS)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        spread = ResumableGridSearchCV(
            FOREST, grid, cv=FOLDS, dask=cluster.scheduler_address, folder=tmp_path
        )
        spread.fit(ROWS, LABELS)
        with distributed.Client(cluster) as client:
            pids = set(client.run(os.getpid).values())
    assert len(pids) == 2
    same_scores(spread.cv_results_, alone.cv_results_)
    tasks = [json.loads(line) for line in (tmp_path / "tasks.jsonl").read_text().splitlines()]
    assert {int(task["where"].split(":")[-1]) for task in tasks} == pids
