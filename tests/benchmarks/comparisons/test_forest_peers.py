"""Trees beside other libraries: the same scores, or nothing is timed."""

import numpy as np
import pytest

from benchmarks.comparisons import environment, forest_peers
from common.errors import ArtefactError


def subject(scores, **more):
    return forest_peers.Subject(lambda _: environment.local(list), np.array(scores), **more)


def test_other_scores_are_no_comparison():
    ours = subject([0.5])
    forest_peers._check("w", {"timbre": ours, "x": subject([0.5 + 1e-5])})
    with pytest.raises(ArtefactError, match=r"x differs from ours by 0\.1"):
        forest_peers._check("w", {"timbre": ours, "x": subject([0.6])})
    forest_peers._check("w", {"timbre": ours, "x": subject([0.6], near=0.11)})


def test_who_is_faster_is_named():
    row = {"name": "x", "what": "w", "trees": 5, "rows": 8}
    assert forest_peers.shortfalls([row | {"ratio": 1.0}, {"name": "y", "gap": "z"}]) == []
    (line,) = forest_peers.shortfalls([row | {"ratio": 0.9}])
    assert "5 trees, 8 rows" in line


@pytest.mark.slow  # trains and converts forests
def test_a_tiny_run_has_a_row_for_each_library_and_number_of_rows():
    table = forest_peers.run(tiny=True)
    found = {(row["what"], row["rows"], row["name"]) for row in table}
    names = {
        forest_peers.RANDOM: ("timbre", "scikit-learn", "skl2onnx"),
        forest_peers.BOOSTED: ("timbre", "lightgbm"),
    }
    assert found == {
        (what, rows, name) for what, some in names.items() for rows in (1, 4) for name in some
    }
