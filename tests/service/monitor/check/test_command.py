"""The command that checks a source."""

import pytest

from service.cli.monitor import main
from service.monitor.check.command import FAILED, FINE, WRONG
from tests.service.conftest import RATE, noise, tone, wav


@pytest.mark.parametrize(
    ("level", "code", "said"), [(0.2, FINE, "Nothing is wrong"), (1.2, WRONG, "full scale")]
)
def test_the_exit_code_tells_whether_something_is_wrong(level, code, said, tmp_path, capsys):
    (tmp_path / "a.wav").write_bytes(wav(tone(3, level=level) + noise(3, level=0.001)))
    page = tmp_path / "new" / "a.html"
    assert main(["check", str(tmp_path / "a.wav"), "--out", str(page)]) == code
    out = capsys.readouterr().out
    assert f"a.wav: 3.0 s of {RATE:,} Hz" in out
    assert said in out
    assert said in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("seconds", ["1.9", "601", "nan", "x"])
def test_seconds_have_limits(seconds, capsys):
    with pytest.raises(SystemExit):
        main(["check", "a.wav", "--seconds", seconds])
    assert "must be 2 to 600 seconds" in capsys.readouterr().err


def test_a_source_that_is_not_there_and_a_page_that_cannot_be_written_are_said(tmp_path, capsys):
    assert main(["check", str(tmp_path / "a.wav")]) == FAILED
    assert "cannot read" in capsys.readouterr().err
    (tmp_path / "a.wav").write_bytes(wav(tone(2)))
    assert main(["check", str(tmp_path / "a.wav"), "--out", f"{tmp_path}/a.wav/b.html"]) == FAILED
    assert "cannot be written" in capsys.readouterr().err
