"""What each choice of thresholds costs, in report.html and report.md."""

from training.reporting import markdown, threshold_choices

ROW = dict.fromkeys(threshold_choices.COLUMNS.values(), 0.25)
CHOICES = {"F-1, 50% mixtures": ROW, "F-0.8, <all>": {**ROW, "macro_f1_mixture": None}}


def test_a_report_has_a_row_for_each_choice():
    text = "\n".join(threshold_choices.tables(CHOICES, markdown.table))
    assert "| F-1, 50% mixtures | 0.250 | 0.250 | 0.250 | 0.250 | 0.250 |" in text
    assert "| F-0.8, <all> | 0.250 | - | 0.250 | 0.250 | 0.250 |" in text
    page = str(threshold_choices.section(CHOICES))
    assert "F-0.8, &lt;all&gt;" in page
    assert "1 - F-beta" in page


def test_a_report_without_choices_has_no_such_section():
    assert str(threshold_choices.section(None)) == ""
    assert str(threshold_choices.section({})) == ""
