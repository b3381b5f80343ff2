import numpy as np
import pytest
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from training.common.errors import MaterialError
from training.common.recipe import RecipeError
from training.pictures.embeddings.svm import (
    KERNELS,
    Grid,
    SvmParameters,
    check_classes,
    check_count,
    fit,
    search,
)


def nothing(done, total):
    pass


def rings(count=60, seed=0):
    """Three rings around one another, no line between them, in four of six numbers."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    x = rng.normal(size=(count, 6))
    x[:, :4] *= (1 + 4 * labels / np.linalg.norm(x[:, :4], axis=1))[:, None]
    return (5 * x + 3).astype(np.float32), labels.astype(np.int64)


@pytest.mark.parametrize("kernel", KERNELS)
def test_decisions_are_those_of_scikit_learn(kernel):
    x, labels = rings()
    theirs = make_pipeline(
        StandardScaler(), OneVsRestClassifier(SVC(C=3.0, kernel=kernel, gamma=0.5 / 6, tol=1e-4))
    )
    gamma = {"linear": 6.0}.get(kernel, 0.5)  # their linear kernel has no gamma
    ours = fit(SvmParameters(kernel, 3.0, gamma), x, labels).decide(x)
    np.testing.assert_allclose(ours, theirs.fit(x, labels).decision_function(x), atol=0.02)


def test_the_search_finds_the_kernel_that_fits():
    x, labels = rings(240)
    found = search(x, labels, [""] * 240, Grid(costs=(1.0, 10.0)), seed=1, progress=nothing)
    assert found.machine.point.kernel == "rbf"
    rates = [rate for _, rate in found.table]
    assert rates == sorted(rates, reverse=True)
    assert len(found.table) == 2 + 6 + 6
    other, answers = rings(60, seed=5)
    assert np.mean(found.machine.scores(other).argmax(axis=1) == answers) > 0.7


def test_scores_add_up_to_one_and_are_as_sure_as_they_are_right():
    x, labels = rings(120)
    x += np.random.default_rng(2).normal(scale=4, size=x.shape).astype(np.float32)
    found = search(x, labels, [""] * 120, Grid(kernels=("rbf",)), seed=1, progress=nothing)
    other, answers = rings(300, seed=5)
    other += np.random.default_rng(3).normal(scale=4, size=other.shape).astype(np.float32)
    scores = found.machine.scores(other)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert abs(scores.max(axis=1).mean() - np.mean(scores.argmax(axis=1) == answers)) < 0.12


def test_no_source_is_on_two_sides_of_a_fold():
    """The feature that separates the classes in one source inverts in the other."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    sources = np.repeat(["a", "b"], 40)
    x = rng.normal(size=(80, 1)).astype(np.float32)
    x[:, 0] += 6 * np.where(sources == "a", labels, 1 - labels) + 30 * (sources == "a")
    grid = Grid(kernels=("rbf",), costs=(10.0,), gammas=(3.0,))
    blind = search(x, labels, [""] * 80, grid, seed=1, progress=nothing)
    honest = search(x, labels, sources.tolist(), grid, seed=1, progress=nothing)
    assert blind.table[0][1] > 0.9
    assert honest.table[0][1] < 0.6


def test_near_duplicates_are_judged_by_a_machine_without_them():
    """Of noise, a machine knows only what it has seen; every picture is there twice."""
    rng = np.random.default_rng(0)
    labels, group = np.repeat(np.arange(40) % 2, 2), np.repeat(np.arange(40), 2)
    x = np.repeat(rng.normal(size=(40, 20)), 2, axis=0).astype(np.float32)
    grid = Grid(kernels=("rbf",), costs=(30.0,), gammas=(4.0,))
    known = {"seed": 1, "progress": nothing}
    leaked = search(x, labels, [""] * 80, grid, **known)
    honest = search(x, labels, [""] * 80, grid, groups=group, **known)
    assert leaked.table[0][1] > 0.7
    assert honest.table[0][1] < 0.6
    # Half as right is not half as sure: scores are as sure as decisions left out were right.
    assert honest.machine.sharpness < leaked.machine.sharpness / 2


def test_a_class_that_no_fold_can_learn_changes_no_accuracy():
    x, labels = rings(90)
    x, labels = np.concatenate([x, x[:30] + 500]), np.append(labels, np.full(30, 3))
    sources = [*"ab" * 45, *"a" * 30]
    grid = Grid(kernels=("rbf",), costs=(3.0,), gammas=(1.0,))
    found = search(x, labels, sources, grid, seed=1, progress=nothing)
    right = found.decisions.argmax(axis=1) == labels
    assert not right[90:].any()
    halves = [right[:90][at::2].mean() for at in (0, 1)]
    assert found.table[0][1] == pytest.approx(np.mean(halves))


def test_with_one_group_only_a_machine_is_fitted_all_the_same():
    x, labels = rings(12)
    grid = Grid(kernels=("linear",), costs=(1.0,))
    found = search(
        x, labels, [""] * 12, grid, groups=np.zeros(12, np.int64), seed=1, progress=nothing
    )
    assert (found.machine.sharpness, [rate for _, rate in found.table]) == (1.0, [None])


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e6])
def test_descriptors_of_any_unit_are_learnt(unit):
    x, labels = rings(90)
    machine = fit(SvmParameters("rbf", 3.0, 1.0), (x * unit).astype(np.float32), labels)
    assert (machine.scores(x * np.float32(unit)).argmax(axis=1) == labels).mean() > 0.9


def test_many_sources_are_put_into_folds():
    x, labels = rings(60)
    sources = [f"s{i // 3}" for i in range(60)]
    calls = []
    search(
        x,
        labels,
        sources,
        Grid(kernels=("linear",), costs=(1.0,)),
        seed=1,
        progress=lambda *a: calls.append(a),
    )
    assert calls[-1] == (4, 4)


def test_one_class_and_a_class_of_one_picture_are_refused():
    with pytest.raises(MaterialError, match="one class only, boat"):
        check_classes(np.zeros(5, np.int64), ["boat"])
    with pytest.raises(MaterialError, match=r"a single picture.*: cup"):
        check_classes(np.array([0, 0, 1]), ["boat", "cup"])
    check_classes(np.array([0, 0, 1, 1]), ["boat", "cup"])


@pytest.mark.parametrize(
    "wrong",
    [{"kernels": ("cubic",)}, {"kernels": ()}, {"costs": (0.0,)}, {"gammas": ()}, {"folds": 1}],
)
def test_a_grid_that_means_nothing_is_refused(wrong):
    with pytest.raises(RecipeError, match=r"svm\."):
        Grid(**wrong)


def test_more_pictures_than_there_is_memory_for_are_refused():
    check_count(200, Grid(most=200))
    with pytest.raises(
        MaterialError,
        match=r"45,000 training pictures .* about 49 GB of memory, and svm\.most is 12,000",
    ):
        check_count(45_000, Grid())
    Grid(most=4)
    with pytest.raises(RecipeError, match=r"svm\.most=3 must be at least 4"):
        Grid(most=3)


def test_thousands_of_classes_are_refused_before_anything_is_described():
    check_classes(np.repeat(np.arange(1000), 2), [str(number) for number in range(1000)])
    with pytest.raises(
        MaterialError,
        match=r"1,001 classes: at most 1,000, for each needs its own machine",
    ):
        check_classes(np.repeat(np.arange(1001), 2), [str(number) for number in range(1001)])
