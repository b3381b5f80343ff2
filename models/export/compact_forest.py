"""Rewrites the graph of a forest so that ONNX Runtime holds a third of it, and runs it faster.

ONNX Runtime keeps 44 bytes for every score of every leaf. Here each tree gives the number of its
leaf instead, and the scores lie in one table: 24 MB less of 200 trees with 80,000 leaves and 11
labels. The sums are the same but for their rounding. The operator is the newer one, whose nodes are
numbers and not texts: 13 MB less.

    TreeEnsemble -> leaves (n, trees) -> Cast -> Gather -> (n, trees, labels) -> MatMul

Reads and writes the wire format of protobuf: the package onnx is not installed where models are
served.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from models.export.self_contained import fields

Integers: TypeAlias = npt.NDArray[np.int64]
Attributes: TypeAlias = dict[bytes, tuple[bytes, int]]
"""By name: the message, and where its name ends."""

OPERATOR, NEWER, DOMAIN = b"TreeEnsembleRegressor", b"TreeEnsemble", b"ai.onnx.ml"
GRAPH, OPSET, NODE, INITIALISER = 7, 8, 1, 5  # of ModelProto and GraphProto
INPUT, OUTPUT, OP_TYPE, ATTRIBUTE, NODE_DOMAIN = 1, 2, 4, 5, 7  # of NodeProto
NAME, INT, TENSOR, FLOATS, INTS, STRINGS, TYPE = 1, 3, 5, 7, 8, 9, 20  # of AttributeProto
INT_TYPE, TENSOR_TYPE, FLOATS_TYPE, INTS_TYPE, STRINGS_TYPE = 2, 4, 6, 7, 8
FLOAT32, UINT8, INT32, INT64 = 1, 2, 6, 7  # of TensorProto.DataType
NODES = {
    b"nodes_treeids", b"nodes_nodeids", b"nodes_featureids", b"nodes_values", b"nodes_modes",
    b"nodes_truenodeids", b"nodes_falsenodeids",
}  # fmt: skip
TARGETS = {
    b"n_targets", b"target_treeids", b"target_nodeids", b"target_ids", b"target_weights",
}  # fmt: skip
LEAF, BRANCH = b"\x04LEAF", b"\nBRANCH_LEQ"
MIN_OPSET = 13
"""Squeeze takes its axes as an input from here on."""
NEWER_OPSET = 5
"""Of the domain, in which the newer operator is, and the older one no more."""
MOST_LEAVES = 2**24
"""Whole numbers that float32 has."""
SAVED, SPENT = 40, 4
"""Bytes of a score in a leaf, and of one in the table, which has all labels for each leaf."""


class _Forest(NamedTuple):
    trees: int
    tree_of: Integers
    """Tree of each leaf."""
    table: npt.NDArray[np.float32]
    """Scores of each leaf, shape (leaves, labels)."""
    roots: Integers
    """Of each tree, the place of its root among the branches."""
    features: Integers
    """Of each branch."""
    splits: npt.NDArray[np.float32]
    """Of each branch: up to it, its first child follows."""
    children: Integers
    """Shape (2, branches): their places among the leaves, or among the branches."""
    ends: npt.NDArray[np.bool_]
    """Shape (2, branches): whether they are leaves."""


class _OtherFormError(Exception):
    """The graph is not of the form that is rewritten."""


def compact_forest(graph: bytes) -> bytes:
    """Return an equal graph that takes less memory; the same one if it is not such a forest.

    Raises ArtefactError on what is no graph.
    """
    if OPERATOR not in graph:
        return graph
    try:
        return _rewritten(graph)
    except _OtherFormError:
        return graph


def _rewritten(model: bytes) -> bytes:
    parts, versions = [], {}
    for number, begin, first, last in _spans(model):
        if number == GRAPH:
            parts.append(_field(GRAPH, _rewritten_graph(model[first:last])))
        elif number == OPSET:
            domain, version = _opset(model[first:last])
            versions[domain] = version
            # That of the older operator is told behind the others.
            parts += [] if domain == DOMAIN else [model[begin:last]]
        else:
            parts.append(model[begin:last])
    if versions.get(b"", 0) < MIN_OPSET or not 0 < versions.get(DOMAIN, 0) < NEWER_OPSET:
        raise _OtherFormError
    parts.append(_field(OPSET, _field(1, DOMAIN) + _number(2, NEWER_OPSET)))
    return b"".join(parts)


def _opset(message: bytes) -> tuple[bytes, int]:
    """Return the domain and the version that a model names."""
    domain, version = b"", 0
    for number, value, (first, last) in fields(message, 0, len(message)):
        if number == 1:
            domain = message[first:last]
        elif number == 2:
            version = value
    return domain, version


def _rewritten_graph(graph: bytes) -> bytes:
    parts: list[bytes] = []
    rewritten = 0
    for number, begin, first, last in _spans(graph):
        node = graph[first:last] if number == NODE else b""
        if number == NODE and OPERATOR in node:
            parts += _rewritten_node(node)
            rewritten += 1
        elif DOMAIN in node:  # of a version that is not the newer one
            raise _OtherFormError
        else:
            parts.append(graph[begin:last])
    if rewritten != 1:
        raise _OtherFormError
    return b"".join(parts)


def _rewritten_node(node: bytes) -> Iterator[bytes]:
    """Yield the nodes and initialisers that replace a node."""
    takes, gives, attributes = _parts_of(node)
    forest = _read(attributes)
    used = (b"leaves", b"index", b"each", b"sums", b"table", b"ones", b"axis")
    names = {name: gives + b"/" + name for name in used}
    yield _node(NEWER, [takes], names[b"leaves"], b"".join(_ensemble(forest)), domain=DOMAIN)
    yield _node(b"Cast", [names[b"leaves"]], names[b"index"], _int(b"to", INT32))
    yield _node(b"Gather", [names[b"table"], names[b"index"]], names[b"each"], _int(b"axis", 0))
    # Not ReduceSum, whose rounding depends on the number of rows.
    yield _node(b"MatMul", [names[b"ones"], names[b"each"]], names[b"sums"], b"")
    yield _node(b"Squeeze", [names[b"sums"], names[b"axis"]], gives, b"")
    for name, kind, values in (
        (b"table", FLOAT32, forest.table.astype("<f4")),
        (b"ones", FLOAT32, np.ones((1, forest.trees), "<f4")),
        (b"axis", INT64, np.array([1], "<i8")),
    ):
        yield _field(INITIALISER, _tensor(names[name], kind, values))


def _parts_of(node: bytes) -> tuple[bytes, bytes, Attributes]:
    """Return the input, the output and the attributes of an ensemble."""
    texts: dict[int, list[bytes]] = {INPUT: [], OUTPUT: [], OP_TYPE: [], NODE_DOMAIN: []}
    attributes: Attributes = {}
    for number, _, first, last in _spans(node):
        if number == ATTRIBUTE:
            attribute = node[first:last]
            _, _, (begin, end) = next(fields(attribute, 0, len(attribute)), (0, 0, (0, 0)))
            attributes[attribute[begin:end]] = attribute, end
        elif number in texts:
            texts[number].append(node[first:last])
    if (
        (texts[OP_TYPE], texts[NODE_DOMAIN]) != ([OPERATOR], [DOMAIN])
        or (len(texts[INPUT]), len(texts[OUTPUT])) != (1, 1)
        or attributes.keys() != NODES | TARGETS
    ):
        raise _OtherFormError
    return texts[INPUT][0], texts[OUTPUT][0], attributes


def _ensemble(forest: _Forest) -> Iterator[bytes]:
    """Yield the attributes by which each tree gives the number of its leaf."""
    numbers = np.arange(len(forest.table), dtype="<f4")
    modes = np.zeros(len(forest.features), np.uint8)  # all BRANCH_LEQ
    yield _int(b"aggregate_function", 1)  # the sum
    yield _int(b"n_targets", forest.trees)
    yield _ints(b"tree_roots", forest.roots)
    yield _ints(b"nodes_featureids", forest.features)
    for at, which in enumerate((b"true", b"false")):
        yield _ints(b"nodes_" + which + b"nodeids", forest.children[at])
        yield _ints(b"nodes_" + which + b"leafs", forest.ends[at].astype(np.int64))
    yield _ints(b"leaf_targetids", forest.tree_of)
    for name, kind, values in (
        (b"nodes_modes", UINT8, modes),
        (b"nodes_splits", FLOAT32, forest.splits.astype("<f4")),
        (b"leaf_weights", FLOAT32, numbers),
    ):
        content = _field(TENSOR, _tensor(name, kind, values)) + _number(TYPE, TENSOR_TYPE)
        yield _field(ATTRIBUTE, _field(NAME, name) + content)


def _read(attributes: Attributes) -> _Forest:
    """Return the leaves of a forest."""
    modes = _strings(*attributes[b"nodes_modes"])
    tree, node, of_tree, of_node, label = (
        _integers(*attributes[name])
        for name in (
            b"nodes_treeids", b"nodes_nodeids", b"target_treeids", b"target_nodeids", b"target_ids",
        )
    )  # fmt: skip
    weight = _floats(*attributes[b"target_weights"])
    attribute, begin = attributes[b"n_targets"]
    found = {number: value for number, value, _ in fields(attribute, begin, len(attribute))}
    labels = found.get(INT, 0)
    if (
        not len(modes) == len(tree) == len(node)
        or not len(of_tree) == len(of_node) == len(label) == len(weight)
        or not set(modes) <= {LEAF, BRANCH}
        or label.max(initial=0) >= labels
    ):
        raise _OtherFormError
    leaf = np.array([mode == LEAF for mode in modes], bool)
    nodes, tree_of = (tree << 32) + node, tree[leaf]
    place = _places(nodes[leaf], (of_tree << 32) + of_node)
    trees = int(tree.max()) + 1
    if len(np.unique(tree_of)) != trees or SPENT * labels * len(tree_of) > SAVED * (
        len(label) - len(tree_of)
    ):
        raise _OtherFormError
    table = np.zeros((len(tree_of), labels), np.float32)
    np.add.at(table, (place, label), weight)
    return _Forest(trees, tree_of, table, *_branches(attributes, nodes, tree, leaf))


def _branches(
    attributes: Attributes, nodes: Integers, tree: Integers, leaf: npt.NDArray[np.bool_]
) -> tuple[Integers, Integers, npt.NDArray[np.float32], Integers, npt.NDArray[np.bool_]]:
    """Return roots, features, splits, children and ends.

    nodes: each by its tree and its number in it. leaf: whether it is one.
    """
    features, first, second = (
        _integers(*attributes[name])
        for name in (b"nodes_featureids", b"nodes_truenodeids", b"nodes_falsenodeids")
    )
    splits = _floats(*attributes[b"nodes_values"])
    if not len(nodes) == len(features) == len(first) == len(second) == len(splits):
        raise _OtherFormError
    branch = np.flatnonzero(~leaf)
    of_tree = tree[branch] << 32
    below = np.array([_places(nodes, of_tree + each[branch]) for each in (first, second)])
    root = np.setdiff1d(np.arange(len(nodes)), below)
    root = root[np.argsort(tree[root])]
    # A tree that is one leaf has no branch.
    if leaf[root].any() or not np.array_equal(tree[root], np.arange(len(root))):
        raise _OtherFormError
    rank = np.where(leaf, np.cumsum(leaf), np.cumsum(~leaf)) - 1
    _check_reachable(rank[root], np.where(leaf[below], -1, rank[below]), len(nodes))
    return rank[root], features[branch], splits[branch], rank[below], leaf[below]


def _check_reachable(level: Integers, branches: Integers, count: int) -> None:
    """Raise unless each of so many nodes is reached from a root, and once.

    level: the roots. branches: the children of each branch, -1 for leaves.
    """
    seen = 0
    while len(level) and seen <= count:
        seen += len(level)
        level = branches[:, level[level >= 0]].ravel()
    if seen != count:
        raise _OtherFormError


def _places(leaves: Integers, targets: Integers) -> Integers:
    """Return at which place in `leaves` each of `targets` is."""
    order = np.argsort(leaves)
    ordered = leaves[order]
    if not 0 < len(leaves) < MOST_LEAVES or (ordered[1:] == ordered[:-1]).any():
        raise _OtherFormError
    place: Integers = order[np.minimum(np.searchsorted(ordered, targets), len(leaves) - 1)]
    if not np.array_equal(leaves[place], targets):
        raise _OtherFormError
    return place


def _spans(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield of each field its number, and where it, its content begin, and both end."""
    begin = 0
    for number, _, (first, last) in fields(message, 0, len(message)):
        yield number, begin, first, last
        begin = last


def _body(attribute: bytes, begin: int, kind: int) -> bytes:
    """Return the fields between the name and the type, which are those of one list."""
    end = _number(TYPE, kind)
    if not attribute.endswith(end):
        raise _OtherFormError
    return attribute[begin : -len(end)]


def _integers(attribute: bytes, begin: int) -> Integers:
    """Return the integers of a list, each behind its tag."""
    data = np.frombuffer(_body(attribute, begin, INTS_TYPE), np.uint8)
    # Of each tag and of each value, the last byte is below 128; a tag has no other.
    ends = np.flatnonzero(data < 0x80).astype(np.int32)
    tags, last = ends[::2], ends[1::2]
    if not len(tags) == len(last) or (data[tags] != INTS << 3).any():
        raise _OtherFormError
    lengths = last - tags
    # What is behind the last value would be an unfinished one.
    if len(tags) and (tags[0] or last[-1] != len(data) - 1):
        raise _OtherFormError
    if (tags[1:] - last[:-1] != 1).any() or lengths.max(initial=0) > 4:
        raise _OtherFormError
    values: Integers = np.zeros(len(tags), np.int64)
    values += data[tags + 1] & 0x7F
    for place in range(1, int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > place)
        more = data[tags[longer] + (1 + place)].astype(np.int64) & 0x7F
        values[longer] |= more << 7 * place
    return values


def _floats(attribute: bytes, begin: int) -> npt.NDArray[np.float32]:
    """Return the numbers of a list, each behind its tag."""
    data = np.frombuffer(_body(attribute, begin, FLOATS_TYPE), np.uint8)
    if len(data) % 5 or (data[::5] != (FLOATS << 3 | 5)).any():
        raise _OtherFormError
    return np.ascontiguousarray(data.reshape(-1, 5)[:, 1:]).view("<f4")[:, 0]


def _strings(attribute: bytes, begin: int) -> list[bytes]:
    """Return the strings of a list, each with its length before it."""
    tag = bytes([STRINGS << 3 | 2])  # a letter that the modes do not have
    empty, *strings = _body(attribute, begin, STRINGS_TYPE).split(tag)
    if empty:
        raise _OtherFormError
    return strings


def _varint(value: int) -> bytes:
    low = b""
    while value >= 0x80:
        low += bytes([value & 0x7F | 0x80])
        value >>= 7
    return low + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return b"".join((_varint(field << 3 | 2), _varint(len(content)), content))


def _int(name: bytes, value: int) -> bytes:
    """Return an attribute of a node."""
    content = _number(INT, value) + _number(TYPE, INT_TYPE)
    return _field(ATTRIBUTE, _field(NAME, name) + content)


def _ints(name: bytes, values: Integers) -> bytes:
    """Return an attribute; its values are packed, which every reader of protobuf takes."""
    lengths = 1 + np.sum([values >> 7 * place > 0 for place in (1, 2, 3)], axis=0)
    begin = np.cumsum(lengths) - lengths
    packed = np.zeros(int(lengths.sum()), np.uint8)
    for place in range(4):
        longer = lengths > place
        more = np.where(lengths[longer] > place + 1, 0x80, 0)
        packed[begin[longer] + place] = values[longer] >> 7 * place & 0x7F | more
    content = _field(INTS, packed.tobytes()) + _number(TYPE, INTS_TYPE)
    return _field(ATTRIBUTE, _field(NAME, name) + content)


def _node(
    operator: bytes, takes: list[bytes], gives: bytes, attributes: bytes, *, domain: bytes = b""
) -> bytes:
    parts = [
        *(_field(INPUT, name) for name in takes),
        _field(OUTPUT, gives),
        _field(OP_TYPE, operator),
        attributes,
        _field(NODE_DOMAIN, domain),
    ]
    return _field(NODE, b"".join(parts))


def _tensor(name: bytes, kind: int, values: Any) -> bytes:
    dimensions = b"".join(_number(1, size) for size in values.shape)
    return dimensions + _number(2, kind) + _field(8, name) + _field(9, values.tobytes())
