"""What it costs to leave other sounds without a label, in both reports."""

from training.reporting import markdown
from training.reporting.open_set import section, tables

WAY = {"macro_f1": 0.75, "missed": 0.125, "rejected": 0.9, "kinds": {"noise": 1.0, "beats": 0.8}}
FOUND = {"share": 0.9, "ways": {"as calibrated": WAY | {"rejected": 0.25}, "90%": WAY}}


def test_both_reports_have_a_row_for_each_way_and_say_which_one_the_artefact_has():
    page, (how, table) = section(FOUND), tables(FOUND, markdown.table)
    assert how.endswith("the artefact has: 90%.")
    assert "the artefact has: 90%." in page
    for text in ("as calibrated", "macro-F1", "missed", "rejected", "noise", "beats"):
        assert text in page
        assert text in table
    assert table.count("\n") == 3


def test_without_a_share_thresholds_are_told_to_be_as_calibrated():
    assert "thresholds as calibrated" in tables(FOUND | {"share": 0.0}, markdown.table)[0]
    assert section(None) == ""
