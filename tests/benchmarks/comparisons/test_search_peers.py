"""Searches are held against each other by processor time and by the score of what they found."""

import pytest

from benchmarks.comparisons import search_peers


@pytest.mark.parametrize(
    ("score", "ratio", "missed"), [(0.51, 1.0, 0), (0.5101, 1.0, 1), (0.4, 0.99, 1), (0.6, 0.9, 2)]
)
def test_who_found_better_settings_or_was_faster_is_named(score, ratio, missed):
    table = [
        {"name": search_peers.OURS, "score": 0.5, "ratio": 1.0},
        {"name": "x", "score": score, "ratio": ratio},
        {"name": "y", "gap": "why"},
    ]
    assert len(search_peers.shortfalls(table)) == missed


def test_the_grids_name_settings_of_the_forest():
    for given in (search_peers.FULL, search_peers.TINY):
        model = search_peers.search.pipeline(0)
        for name, values in given["grid"].items():
            for value in values:
                model.set_params(**{name: value})


@pytest.mark.slow  # four searches
def test_a_tiny_run_has_a_row_for_each_search():
    table = search_peers.run(tiny=True)
    names = [*search_peers.METHODS, *search_peers.GAPS]
    assert [row["name"] for row in table] == names
    assert all(row["cpu_s"] > 0 and 0 <= row["score"] <= 1 for row in table if "gap" not in row)
