"""Information lost is 1 minus scikit-learn's explained variance; all components lose none."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from training.studies import pca
from training.studies.protocol import Options, honest
from training.studies.study import html

OPTIONS = Options(rows=1000, jobs=1)


def test_on_training_windows_it_is_scikit_learn_s_explained_variance(table):
    parts = honest(table, OPTIONS)
    scaled = StandardScaler().fit_transform(np.asarray(table.features[parts.train], np.float64))
    explained = np.cumsum(PCA().fit(scaled).explained_variance_ratio_)
    np.testing.assert_allclose(pca.lost(table.features, parts)[0], 1 - explained, atol=1e-9)


def test_on_other_sources_it_is_what_reconstruction_leaves(table):
    parts = honest(table, OPTIONS)
    scaler = StandardScaler().fit(np.asarray(table.features[parts.train], np.float64))
    train, test = (
        scaler.transform(np.asarray(table.features[rows], np.float64))
        for rows in (parts.train, parts.test)
    )
    model = PCA(5).fit(train)
    left = ((test - model.inverse_transform(model.transform(test))) ** 2).sum() / (test**2).sum()
    assert pca.lost(table.features, parts)[1][4] == pytest.approx(left)


def test_the_study_has_a_row_for_every_number_and_the_original_figures_beside(table):
    seen = []
    study = pca.run(table, OPTIONS, lambda done, total: seen.append((done, total)))
    rows = study.sheets[0].rows
    assert [row[0] for row in rows] == [str(number) for number in range(26, 0, -1)]
    assert rows[10][4] == 0.07, "16 components"
    assert rows[0][1:4] == [pytest.approx(0, abs=1e-9)] * 3
    losses = [row[1] for row in rows]
    assert losses == sorted(losses)
    assert "leaky" in study.sheets[0].head[3]
    assert seen[-1] == (2, 2)


def test_only_the_original_collection_has_the_original_figures_beside(table):
    other = replace(table, about=table.about | {"collection": "folders"})
    study = pca.run(other, OPTIONS, lambda done, total: None)
    assert "original work" not in study.sheets[0].head
    assert "original" not in html(study).lower()
    assert study.data["work_a"] == {}


def test_a_feature_that_never_changes_is_no_trouble(table):
    features = np.array(table.features)
    features[:, 3] = 7
    for lost in pca.lost(features, honest(table, OPTIONS)):
        assert np.isfinite(lost).all()
