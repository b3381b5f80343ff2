"""Page, documents and pictures are what the results say."""

import pytest

from benchmarks import cli
from benchmarks.reporting import page, results


def test_every_document_says_what_the_results_say():
    made = page.files(results.read_folder())
    differing = [
        path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text
    ]
    assert differing == [], "run `timbre bench page`"
    assert cli.main(["page", "--check"]) == 0


def test_a_document_that_differs_from_the_results_is_named(monkeypatch, tmp_path, capsys):
    for name in page.DOCUMENTS:
        text = (page.ROOT / name).read_text(encoding="utf-8")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    typed = (tmp_path / "README.md").read_text(encoding="utf-8").replace(" times |", "0 times |", 1)
    (tmp_path / "README.md").write_text(typed, encoding="utf-8")
    monkeypatch.setattr(page, "ROOT", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.html")
    assert cli.main(["page", "--check"]) == 1
    assert "README.md is not what" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
    assert cli.main(["page"]) == 0
    assert cli.main(["page", "--check"]) == 0
    original = (page.DOCUMENTS and results.FOLDER.parents[1] / "README.md").read_text("utf-8")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == original


@pytest.fixture(scope="module")
def reports():
    return results.read_folder()


def test_the_page_has_a_section_for_each_result_and_asks_for_nothing_else(reports):
    text = page.render(reports)
    for name, report in reports.items():
        assert f'<h2 id="{name}">' in text
        assert report["machine"]["commit"] in text
    assert 'src="' not in text
    assert 'href="http' not in text


def test_the_picture_leaves_out_what_is_compared_with_itself(reports):
    for report in reports.values():
        bars = page.bars_of(report)
        compared = [row for row in report["rows"] if row.get("ratio") and row["ratio"] > 0]
        assert len(bars) <= len(compared)
        assert all(bar.low <= bar.ratio <= bar.high for bar in bars)
