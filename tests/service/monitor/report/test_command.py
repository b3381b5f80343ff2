"""The command that draws an archive."""

import pytest

from service.cli.monitor import main
from service.monitor.report.command import DONE, FAILED
from tests.service.monitor.report.test_archive import DAY, event, heard, written


async def test_a_page_and_a_table_are_written(tmp_path, capsys):
    path = await written(tmp_path / "a", heard(DAY), [event(DAY, 1)])
    out, csv = tmp_path / "new" / "r.html", tmp_path / "d.csv"
    options = ["--timezone", "Asia/Kathmandu", "--label", "oboe"]
    assert main(["report", str(path), "--out", str(out), "--csv", str(csv), *options]) == DONE
    assert capsys.readouterr().out == f"{out}\n{csv}\n"
    assert "2026-05-31 05:45" in out.read_text(encoding="utf-8")
    assert "hall,oboe,2026-05-31,0," in csv.read_text(encoding="utf-8")


async def test_what_cannot_be_read_or_written_is_one_line(tmp_path, capsys):
    assert main(["report", str(tmp_path / "a")]) == FAILED
    assert capsys.readouterr().err.endswith("a is no file\n")
    path = await written(tmp_path / "a", heard(DAY))
    assert main(["report", str(path), "--out", f"{path}/r.html"]) == FAILED
    assert "r.html cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--timezone", "Mars/Olympus"), ("--timezone", "../x"), ("--from", "yesterday"), ("--to", "")],
)
def test_days_and_zones_are_checked(option, value, capsys):
    with pytest.raises(SystemExit):
        main(["report", "a", option, value])
    assert f"{value!r} is no" in capsys.readouterr().err
