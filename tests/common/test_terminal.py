"""Control characters in the text of others are shown, on stdout, stderr and in the log."""

import csv
import io
import json
import subprocess
import sys

import pytest

from common.strict_json import to_json
from common.terminal import EscapingStream, escape, escape_lines, escaped_output, say
from service.log import log, trace
from tests.helpers.server_process import BIN, ROOT

CONTROLS = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ud800\udcff\udfff",
]
ORDINARY = "piano ~ \xa0 é 音 🎹 e\u0301 \u200d \u2027 \u202f \u2065 \u206a \ue000 \\ \" ' שלום"
FORGED = "a\nb\x1b[31m\x9b2J\x1b]0;title\x07\u202etxt\udcff\x7f\r"


@pytest.mark.parametrize("control", CONTROLS, ids=lambda each: f"{ord(each):04x}")
def test_a_control_character_is_shown_by_its_number(control):
    assert escape(f"a{control}b") == f"a\\u{ord(control):04x}b"
    kept = control in "\n\t"
    assert (escape_lines(f"a{control}b") == f"a{control}b") is kept


def test_other_text_is_not_touched():
    assert escape(ORDINARY) == escape_lines(ORDINARY) == ORDINARY


def test_json_stays_the_same_json():
    for ascii_only in (True, False):
        text = to_json({"path": FORGED}, ensure_ascii=ascii_only)
        assert json.loads(escape_lines(text)) == {"path": FORGED}


@pytest.mark.parametrize("error", [False, True])
def test_a_line_stays_one_line(capsys, error):
    say(FORGED, error=error)
    told = capsys.readouterr()[error]
    assert told == escape(FORGED) + "\n"
    assert told.count("\n") == 1


def test_all_that_is_printed_in_a_block_is_escaped_and_nothing_after_it(capsys):
    out, err = sys.stdout, sys.stderr
    with escaped_output():
        print(FORGED)  # noqa: T201 - what the block is about
        sys.stderr.writelines(["\x1b", "\u202e"])
        csv.writer(sys.stdout).writerow(["\x1b"])
        assert sys.stdout.encoding == out.encoding
    assert (sys.stdout, sys.stderr) == (out, err)
    told = capsys.readouterr()
    assert told.out.startswith("a\nb\\u001b[31m\\u009b2J")
    assert told.err == "\\u001b\\u202e"
    assert "\x1b" not in told.out


def test_a_stream_that_was_replaced_in_the_block_stays(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with escaped_output():
        assert isinstance(sys.stdout, EscapingStream)
        sys.stdout = None
    assert sys.stdout is None


def test_log_lines_and_tracebacks_are_escaped(capsys):
    log(FORGED, detail=FORGED, number=1.5)
    trace(ValueError(FORGED))
    first, *rest = capsys.readouterr().err.split("\n")
    assert "\\u001b[31m" in first
    assert "detail=" in first
    for line in (first, *rest):
        assert not any(control in line for control in CONTROLS)


def run(*arguments, **options):
    return subprocess.run(
        [BIN / "timbre", *arguments], capture_output=True, cwd=ROOT, check=False, **options
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify", "/none/{}.wav"],
        ["listen", "/none/{}.wav"],
        ["models", "show", "{}"],
        ["models", "verify", "{}"],
        ["serve", "--set", "host={}"],
        ["keys", "list", "--keys", "/none/{}"],
        ["train", "/none/{}"],
        ["data", "crawl", "/none/{}.toml", "/none/out"],
        ["data", "pack", "/none/{}", "/none/out"],
        ["{}"],
        ["classify", "--{}"],
    ],
    ids=" ".join,
)
def test_no_command_prints_controls_of_its_arguments_raw(arguments):
    for forged in (FORGED.encode("utf-8", "surrogateescape"), b"\x1b[31m\xc2\x9b"):
        done = run(*[each.encode().replace(b"{}", forged) for each in arguments])
        told = (done.stdout + done.stderr).decode()
        assert done.returncode != 0
        assert "Traceback" not in told
        assert not [each for each in told if each in CONTROLS and each != "\n"]
