"""Results become tables: the fastest first, quartiles beside medians, documents between marks."""

import json

import pytest

from benchmarks.reporting import results, tables
from common.errors import InputError

ROWS = [
    {"what": "b", "name": "timbre", "median_ms": 2.0, "ratio": 1.0, "ratio_p25": 1.0,
     "ratio_p75": 1.0},
    {"what": "b", "name": "peer", "median_ms": 1.0, "p25_ms": 0.9, "p75_ms": 1.234, "ratio": 0.5,
     "ratio_p25": 0.4, "ratio_p75": 0.6},
    {"what": "a", "name": "peer", "median_ms": 1_234.5, "ratio": 41.3, "ratio_p25": 40,
     "ratio_p75": 42.0, "rounds": 3},
    {"what": "a", "name": "timbre", "median_ms": 30.0, "ratio": 1.0, "ratio_p25": 1.0,
     "ratio_p75": 1.0},
]  # fmt: skip


def test_the_fastest_stands_first_whoever_it_is_and_groups_keep_their_order():
    assert [(row["what"], row["name"]) for row in tables.in_order(ROWS)] == [
        *(("b", "peer"), ("b", "timbre")),
        *(("a", "timbre"), ("a", "peer")),
    ]


def test_of_rates_the_largest_stands_first_and_what_was_not_measured_last():
    rates = [{"name": "none", "requests_s": None}] + [
        {"name": name, "requests_s": rate} for name, rate in (("slow", 9.0), ("fast", 10.0))
    ]
    assert [row["name"] for row in tables.in_order(rates)] == ["fast", "slow", "none"]


def test_a_table_has_the_name_of_the_base_quartiles_and_no_more_digits_than_three():
    shown = tables.view(ROWS)
    assert shown.head == ["", "", "ms", "times timbre"]
    assert shown.rows[0] == ["b", "peer", "1 (0.9 to 1.23)", "0.5 (0.4 to 0.6)"]
    assert shown.rows[3] == ["a", "peer", "1,234", "41.3 (40 to 42)"]
    lines = tables.markdown(shown).splitlines()
    assert lines[1] == "| --- | --- | ---: | ---: |"
    assert len(lines) == 6


REPORT = results.document("x", command="timbre bench x", settings={}, rows=ROWS, gaps={"y": "why"})
TEXT = "before\n<!-- results: x -->\nold\n<!-- end of results -->\nafter\n"


def test_what_stands_between_marks_is_made_anew_and_nothing_else():
    made = tables.document(TEXT, {"x": REPORT})
    assert made.startswith("before\n<!-- results: x -->\n")
    assert made.endswith("<!-- end of results -->\nafter\n")
    assert "old" not in made
    assert "| b | peer | 1 (0.9 to 1.23)" in made
    assert "Not measured: y: why." in made
    assert f"commit {REPORT['machine']['commit']}" in made.replace("\n", " ")
    assert all(len(line) <= 100 for line in made.splitlines() if not line.startswith("|"))
    assert tables.document(made, {"x": REPORT}) == made


def test_a_document_may_show_the_rows_whose_subject_begins_so_without_the_note():
    report = REPORT | {"note": "of all"}
    text = TEXT.replace("results: x", "results: x, a")
    made = tables.document(text, {"x": report})
    assert "| a | peer |" in made
    assert "| b | peer |" not in made
    assert "of all" not in made
    assert "of all" in tables.document(TEXT, {"x": report})
    assert tables.document(made, {"x": report}) == made
    with pytest.raises(InputError, match="'x' have no row 'c'"):
        tables.document(TEXT.replace("results: x", "results: x, c"), {"x": report})


def test_a_result_names_the_heads_of_its_own_columns():
    report = REPORT | {"heads": {"median_ms": "of a window", "what": "happens"}}
    shown, *_ = tables.views_of(report)
    assert shown.head == ["happens", "", "of a window", "times timbre"]


def test_results_are_shown_as_in_a_document_unless_they_are_printed_as_json(tmp_path, capsys):
    path = tmp_path / "x.json"
    for given in (None, str(path)):
        tables.publish(given, REPORT)
        assert "| b | peer | 1 (0.9 to 1.23)" in capsys.readouterr().out
    assert results.read(path)["benchmark"] == "x"
    tables.publish(results.PRINTED, REPORT)
    assert json.loads(capsys.readouterr().out)["benchmark"] == "x"


@pytest.mark.parametrize("missed", [[], ["2 ms, budget 1", "3 ms, budget 2"]])
def test_what_is_below_its_aim_is_told_beneath_the_table(missed):
    made = tables.section(REPORT | {"missed": missed})
    assert ("Below its aim: 2 ms, budget 1; 3 ms, budget 2." in made) == bool(missed)
    assert ("Below its aim" in made) == bool(missed)


def test_a_copy_without_a_command_says_so():
    made = tables.section(REPORT | {"command": "", results.COPIED: "figures copied"})
    assert "No command was recorded: " in made
    assert "figures copied." in made.replace("\n", " ")


def test_a_mark_without_results_is_named():
    with pytest.raises(InputError, match=r"no benchmarks/results/x\.json"):
        tables.document(TEXT, {})
