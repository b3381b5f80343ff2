"""rich's colours reach the terminal, control characters of what it shows do not."""

import io
import re
from pathlib import Path

from rich.live import Live
from rich.markup import escape as as_text
from rich.table import Table
from rich.text import Text

from common.console import console
from common.terminal import escaped_output

ROOT = Path(__file__).parents[2]
FORGED = "a\x1b[31m\x9b2J\x1b]0;title\x07\u202e\udcff"
ESCAPED = r"a\u001b[31m\u009b2J\u001b]0;title"


def written(*shown, colours=False):
    system = "standard" if colours else None
    paper = console(file=io.StringIO(), width=200, force_terminal=colours, color_system=system)
    for each in shown:
        paper.print(each)
    return paper.file.getvalue()


def test_text_tables_and_plain_strings_are_escaped():
    table = Table("name", FORGED)
    table.add_row(as_text(FORGED), "x")
    for shown in (Text(FORGED, "bold"), table, as_text(FORGED)):
        text = written(shown)
        assert r"a\u001b[31m\u009" in text
        assert not re.search("[\x1b\x9b\x07\u202e\udcff]", text)


def test_its_own_colours_stay():
    text = written(Text(FORGED, "red"), colours=True)
    assert text.startswith("\x1b[31m")
    assert ESCAPED in text
    assert text.count("\x1b") == 2


def test_it_writes_past_the_stream_that_escapes(capsys):
    with escaped_output():
        console(force_terminal=True, color_system="standard").print(Text("x", "red"))
    assert capsys.readouterr().out == "\x1b[31mx\x1b[0m\n"


def test_a_live_view_moves_the_cursor_and_escapes_its_text():
    paper = console(file=io.StringIO(), width=80, force_terminal=True)
    with Live(Text(FORGED), console=paper, screen=True, auto_refresh=False) as live:
        live.refresh()
    text = paper.file.getvalue()
    assert "\x1b[?1049h" in text
    assert r"\u001b]0;title" in text
    assert "\x1b]0;" not in text


def test_no_other_file_makes_a_console():
    made = [
        str(path.relative_to(ROOT))
        for folder in ("common", "models", "service", "training", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"rich\.console import .*\bConsole\b", path.read_text(encoding="utf-8"))
    ]
    assert made == ["common/console.py"]
