"""The comparison holds all models, every part, both protocols, and the published figures beside."""

from dataclasses import replace

import pytest

from training.recordings.collection import CollectionError
from training.studies import models
from training.studies.protocol import Options

OPTIONS = Options(rows=200, jobs=1, epochs=1)
ONLY = ("GaussianNB", "DummyClassifier")


@pytest.fixture(scope="module")
def study(table):
    seen = []
    found = models.run(
        table, replace(OPTIONS, only=ONLY), lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return found


def test_all_models_are_there_the_original_eight_first(table):
    names = [one.name for one in models.model_specs(table, OPTIONS)]
    assert names[:8] == list(models.ORIGINAL_RESULTS)
    assert names[8:] == [
        "ExtraTreesClassifier", "HistGradientBoosting", "LightGBM", "linear SVM",
        "network on 26 features", "network on log-mel",
    ]  # fmt: skip
    without = models.model_specs(replace(table, log_mel=None), OPTIONS)
    assert [one.name for one in without] == names[:-1]


def test_a_contestant_is_made_afresh_each_time(table):
    for one in models.model_specs(table, OPTIONS):
        assert one.make() is not one.make()


@pytest.mark.slow  # trains every model
def test_every_model_has_every_figure(study):
    for name in ONLY:
        one = study.data["models"][name]
        for protocol in ("honest", "leaky"):
            for part in ("train", "valid", "test"):
                figures = one[protocol][part]
                assert all(
                    0 <= figures[key] <= 1
                    for key in ("accuracy", "micro_f1", "macro_f1", "mean_average_precision")
                )
        assert all(one["honest"][key] > 0 for key in ("fit_s", "test_s", "ms", "size_mb"))


@pytest.mark.slow  # trains every model
def test_who_always_says_nothing_is_a_row_of_the_accuracy_table(study):
    accuracy, quality, costs = study.sheets
    assert accuracy.rows[-1][0] == "predicts no label"
    dummy, nothing = (
        next(row for row in accuracy.rows if row[0] == name)
        for name in ("DummyClassifier", "predicts no label")
    )
    assert dummy[2:8] == pytest.approx(nothing[2:8]), "with rare labels the prior is to say nothing"
    assert dummy[8:] == [0.8554, 0.8563, 0.8154]
    for sheet in (accuracy, quality):
        assert any("leaky" in name for name in sheet.head)
    assert {len(row) for sheet in study.sheets for row in sheet.rows} == {
        len(accuracy.head),
        len(quality.head),
        len(costs.head),
    }


def test_a_model_that_is_none_is_refused_with_those_there_are(table):
    with pytest.raises(CollectionError, match="LightGBM"):
        models.run(table, replace(OPTIONS, only=("oracle",)), lambda _done, _total: None)
