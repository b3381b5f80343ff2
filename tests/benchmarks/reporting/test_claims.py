"""Every figure of the README comes from a result, and links to where it is told in full."""

import re
from pathlib import Path

import pytest

from benchmarks.reporting import claims, results
from common.errors import InputError

ROOT = Path(__file__).parents[3]


def test_every_line_links_to_a_heading_under_which_its_results_stand():
    text = (ROOT / "BENCHMARKS.md").read_text(encoding="utf-8")
    for claim in claims.CLAIMS:
        parts = re.split(r"^#+ (.*)$", text, flags=re.MULTILINE)
        bodies = {
            name.lower().replace(" ", "-"): body
            for name, body in zip(parts[1::2], parts[2::2], strict=True)
        }
        assert f"<!-- results: {claim.benchmark} -->" in bodies[claim.heading], claim.text


def test_a_claim_follows_its_result():
    reports = results.read_folder()
    before = claims.table(reports)
    found = claims.row(reports["forest"], name="scikit-learn", rows=1)
    found["ratio"] = 123.4
    after = claims.table(reports)
    assert [line for line in after.splitlines() if line not in before] == [
        line for line in after.splitlines() if "123 times" in line
    ]


@pytest.mark.parametrize("name", sorted({claim.benchmark for claim in claims.CLAIMS}))
def test_without_its_result_no_claim_is_made(name):
    reports = {key: value for key, value in results.read_folder().items() if key != name}
    with pytest.raises(InputError, match=name):
        claims.table(reports)


def test_a_result_without_the_row_of_a_claim_is_named():
    report = results.document("x", command="", settings={}, rows=[])
    with pytest.raises(InputError, match="results of x have no row with"):
        claims.row(report, name="timbre")
