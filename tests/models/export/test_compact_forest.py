"""A compact forest gives the scores of the forest; a graph of any other form is left as it is."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler

from common.errors import ArtefactError
from models import session
from models.export import compact_forest as module
from models.export.compact_forest import compact_forest
from models.export.forest import export
from models.session import Session

ATOL = 1e-6


def fitted(*, labels=6, trees=40, depth=None, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(600, 8)).astype(np.float32)
    present = (rng.random((600, labels)) < 0.6).astype(int)
    return rows, RandomForestClassifier(trees, max_depth=depth, random_state=seed).fit(
        rows, present
    )


@pytest.fixture(scope="module")
def rows_and_graph():
    # Leaves of a bounded depth know all labels.
    rows, forest = fitted(depth=8)
    return rows, export(forest)


def plain(graph, rows):
    running = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return running.run(None, {"features": rows})[0]


def changed(graph, **attributes):
    """The graph with other attributes of its ensemble; None removes one."""
    model = onnx.load_from_string(graph)
    (node,) = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    kept = [each for each in node.attribute if each.name not in attributes]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(
        helper.make_attribute(name, value)
        for name, value in attributes.items()
        if value is not None
    )
    return model, node


def attribute(graph, name):
    (node,) = [
        node
        for node in onnx.load_from_string(graph).graph.node
        if node.op_type == "TreeEnsembleRegressor"
    ]
    (found,) = [each for each in node.attribute if each.name == name]
    return helper.get_attribute_value(found)


def test_a_compact_forest_is_valid_smaller_and_gives_the_same_scores(rows_and_graph):
    rows, graph = rows_and_graph
    compact = compact_forest(graph)
    onnx.checker.check_model(onnx.load_from_string(compact), full_check=True)
    assert len(compact) < 0.9 * len(graph)
    np.testing.assert_allclose(plain(compact, rows), plain(graph, rows), atol=ATOL)
    np.testing.assert_allclose(Session(graph).predict(rows), plain(graph, rows), atol=ATOL)


def test_what_is_before_and_beside_the_forest_stays(rows_and_graph):
    rows, _ = rows_and_graph
    scaler = StandardScaler().fit(rows.astype(np.float64))
    pca = PCA(5).fit(scaler.transform(rows.astype(np.float64)))
    through = pca.transform(scaler.transform(rows.astype(np.float64))).astype(np.float32)
    present = (np.random.default_rng(1).random((600, 6)) < 0.6).astype(int)
    forest = RandomForestClassifier(20, max_depth=8, random_state=0).fit(through, present)
    graph = export(forest, scaler=scaler, pca=pca)
    compact = compact_forest(graph)
    assert compact is not graph
    np.testing.assert_allclose(plain(compact, rows), plain(graph, rows), atol=ATOL)
    before, after = (onnx.load_from_string(each) for each in (graph, compact))
    assert list(after.graph.input) == list(before.graph.input)
    assert list(after.graph.output) == list(before.graph.output)
    assert after.producer_name == before.producer_name
    versions = [{each.domain: each.version for each in m.opset_import} for m in (before, after)]
    assert versions == [{"": 17, "ai.onnx.ml": 3}, {"": 17, "ai.onnx.ml": 5}]


def test_a_compact_forest_stays_as_it_is(rows_and_graph):
    compact = compact_forest(rows_and_graph[1])
    assert compact_forest(compact) is compact


def test_many_rows_are_run_in_parts_and_a_row_has_the_same_scores_among_any_others(
    rows_and_graph, monkeypatch
):
    rows, graph = rows_and_graph
    whole = Session(graph).predict(rows)
    for most in (1, 7, len(rows) - 1, len(rows)):
        monkeypatch.setattr(session, "FOREST_ROWS", most)
        np.testing.assert_array_equal(Session(graph).predict(rows), whole)


def test_a_tree_of_one_leaf_stays_as_it_is_and_so_does_its_forest(rows_and_graph):
    _, forest = fitted(depth=8, trees=3)
    rows = np.zeros((50, 8), np.float32)
    same = np.zeros((50, 6), int)
    same[:25, ::2] = same[25:, 1::2] = 1
    forest.fit(rows, same)
    graph = export(forest)
    assert compact_forest(graph) is graph


@pytest.mark.parametrize("which", ["nodes_truenodeids", "nodes_falsenodeids"])
@pytest.mark.parametrize("child", ["root", "own", "twice", "nowhere"])
def test_nodes_that_make_no_tree_are_left_to_the_runtime(rows_and_graph, which, child):
    _, graph = rows_and_graph
    children = list(attribute(graph, which))
    modes = attribute(graph, "nodes_modes")
    at = next(n for n in range(1, len(modes)) if modes[n] != b"LEAF")
    other = "nodes_falsenodeids" if which == "nodes_truenodeids" else "nodes_truenodeids"
    children[at] = {
        "root": 0, "own": at, "twice": attribute(graph, other)[at], "nowhere": 100_000,
    }[child]  # fmt: skip
    wrong = changed(graph, **{which: children})[0].SerializeToString()
    assert compact_forest(wrong) is wrong


@pytest.mark.parametrize(("version", "rewritten"), [(1, True), (4, True), (5, False)])
def test_only_versions_that_have_the_older_operator_are_rewritten(
    rows_and_graph, version, rewritten
):
    model = onnx.load_from_string(rows_and_graph[1])
    for each in model.opset_import:
        if each.domain:
            each.version = version
    graph = model.SerializeToString()
    assert (compact_forest(graph) is not graph) == rewritten


def test_a_leaf_without_any_score_gives_none(rows_and_graph):
    rows, graph = rows_and_graph
    names = ("target_treeids", "target_nodeids", "target_ids", "target_weights")
    lists = {name: list(attribute(graph, name)) for name in names}
    first = (lists["target_treeids"][0], lists["target_nodeids"][0])
    keep = [
        at
        for at, leaf in enumerate(
            zip(lists["target_treeids"], lists["target_nodeids"], strict=True)
        )
        if leaf != first
    ]
    model, _ = changed(graph, **{name: [each[at] for at in keep] for name, each in lists.items()})
    less = model.SerializeToString()
    compact = compact_forest(less)
    assert compact is not less
    np.testing.assert_allclose(plain(compact, rows), plain(less, rows), atol=ATOL)


def test_a_forest_whose_leaves_know_few_of_many_labels_is_left_as_it_is():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 4)).astype(np.float32)
    names = rng.integers(0, 100, 300)
    graph = export(RandomForestClassifier(5, random_state=0).fit(rows, names))
    assert compact_forest(graph) is graph


@pytest.mark.parametrize(
    "attributes",
    [
        {"base_values": [0.5] * 6},
        {"aggregate_function": "AVERAGE"},
        {"post_transform": "SOFTMAX"},
        {"nodes_hitrates": [1.0]},
        {"n_targets": 5},
        {"n_targets": None},
        {"nodes_modes": ["BRANCH_LT"]},
        {"target_ids": [-1]},
        {"target_ids": [2**40]},
        {"target_weights": [1.0]},
        {"nodes_treeids": [0]},
    ],
)
def test_a_forest_of_another_form_is_left_as_it_is(rows_and_graph, attributes):
    model, _ = changed(rows_and_graph[1], **attributes)
    graph = model.SerializeToString()
    assert compact_forest(graph) is graph


def test_another_domain_an_old_opset_and_two_forests_are_left_as_they_are(rows_and_graph):
    def with_domain(model, node):
        node.domain = "elsewhere"

    def with_opset(model, node):
        model.opset_import[0].version = module.MIN_OPSET - 1

    def with_two(model, node):
        model.graph.node.append(node)

    def with_empty(model, node):
        node.attribute.add()

    def without_input(model, node):
        del node.input[:]

    for change in (with_domain, with_opset, with_two, with_empty, without_input):
        model, node = changed(rows_and_graph[1])
        change(model, node)
        graph = model.SerializeToString()
        assert compact_forest(graph) is graph
    model, _ = changed(rows_and_graph[1])
    model.opset_import[0].version = module.MIN_OPSET
    graph = model.SerializeToString()
    assert compact_forest(graph) is not graph


def test_any_other_graph_is_left_as_it_is_and_no_graph_is_an_error(rows_and_graph):
    assert compact_forest(b"anything") == b"anything"
    with pytest.raises(ArtefactError, match="not an ONNX graph"):
        compact_forest(rows_and_graph[1][:-5])


@pytest.mark.parametrize("count", [0, 1, 127, 128, 16_383, 16_384, 2_097_152, 2**28 - 1])
def test_integers_are_read_as_they_were_written(count):
    values = [count, 0, count]
    written = helper.make_attribute("x", values).SerializeToString()
    np.testing.assert_array_equal(module._integers(written, 3), values)
    (read,) = onnx.NodeProto.FromString(module._ints(b"x", np.array(values))).attribute
    assert list(read.ints) == values
