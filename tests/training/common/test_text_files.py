"""Lists are read as spreadsheets and editors of any country write them, or refused by line."""

import pytest

from training.common.errors import MaterialError
from training.common.text_files import (
    alike,
    check_alike,
    lines,
    number,
    read_rows,
    read_text,
)

COLUMNS = ("path", "labels", "start")
BODY = [("1.wav", "Flöte", "0"), ("2.wav", "Ärger", "1.5")]


def written(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def table(separator=",", end="\n", head=("path", "labels", "start"), quote=""):
    rows = [head, *BODY]
    return end.join(separator.join(f"{quote}{cell}{quote}" for cell in row) for row in rows) + end


def read(path, **options):
    rows = list(read_rows(path, COLUMNS, needed=("path", "labels"), **options))
    assert not [row.problem for row in rows if row.problem]
    return [(row.line, tuple(row.cells[name] for name in COLUMNS)) for row in rows]


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_separators_and_line_ends_are_found(tmp_path, encoding, separator, end):
    path = written(tmp_path / "list.csv", table(separator, end), encoding)
    assert read(path) == [(2, BODY[0]), (3, BODY[1])]


def test_headers_in_capitals_with_blanks_quotes_and_excels_first_line(tmp_path):
    head = ("Path", " Labels ", "'START'")
    assert read(written(tmp_path / "a.csv", table(head=head))) == [(2, BODY[0]), (3, BODY[1])]
    assert read(written(tmp_path / "b.csv", table(quote='"')))[0] == (2, BODY[0])
    excel = "sep=;\r\n" + table(";", "\r\n")
    assert read(written(tmp_path / "c.csv", excel)) == [(3, BODY[0]), (4, BODY[1])]
    spaced = "\n\n" + table() + "\n,,\n"
    assert read(written(tmp_path / "d.csv", spaced)) == [(4, BODY[0]), (5, BODY[1])]


def test_columns_that_a_spreadsheet_left_empty_are_ignored(tmp_path):
    path = written(tmp_path / "a.csv", "path,labels,start,,\n1.wav,a,0,,\n2.wav,b,1,,,,\n")
    assert read(path) == [(2, ("1.wav", "a", "0")), (3, ("2.wav", "b", "1"))]


@pytest.mark.parametrize("row", ["1.wav,a,0,5", "1.wav,a"])
def test_rows_with_more_or_fewer_cells_are_problems_of_their_line(tmp_path, row):
    path = written(tmp_path / "a.csv", f"path,labels,start\n0.wav,a,0\n{row}\n")
    good, bad = read_rows(path, COLUMNS, needed=("path",))
    assert not good.problem
    assert bad.line == 3
    assert f"has {row.count(',') + 1} columns, the header 3" in bad.problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("1.wav,flute\n", "no header; it names the columns path, labels, start"),
        ("sep=;\npath;x\n", "line 2 .*: no column labels"),
        ("path;start\n", "no column labels.*|separated by semicolons"),
        ("path,labels,colour\n", "unknown column colour"),
        ("path,labels,Path\n", "column path twice"),
        ("path,labels\n1.wav,a\0b\n", "line 2: has a NUL"),
        ("path,labels\n1.wav,Fl\ufffdte\n", "line 2: a letter was lost"),
    ],
)
def test_what_cannot_be_read_is_refused_and_named(tmp_path, text, said):
    with pytest.raises(MaterialError, match=said):
        read(written(tmp_path / "a.csv", text))


@pytest.mark.parametrize("encoding", ["cp1252", "mac-roman", "cp1250", "latin-1"])
def test_bytes_of_another_encoding_are_refused_by_line_until_it_is_named(tmp_path, encoding):
    path = written(tmp_path / "a.csv", table(), encoding)
    with pytest.raises(MaterialError, match=r"a.csv, line 2: byte 0x.. is not UTF-8"):
        read(path)
    assert read(path, encoding=encoding)[0] == (2, BODY[0])
    with pytest.raises(MaterialError, match="no encoding 'klingon'"):
        read_text(path, encoding="klingon")


def test_an_encoding_that_is_named_does_not_spoil_files_with_a_mark(tmp_path):
    assert read(written(tmp_path / "a.csv", table(), "utf-16"), encoding="cp1252")[0][1] == BODY[0]


def test_only_line_ends_end_lines():
    assert lines("a\u2028b\x0bc\x85d\r\ne\rf\n") == ["a\u2028b\x0bc\x85d", "e", "f"]
    assert lines("") == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        ("1,5", 1.5),
        (" 0,000000 ", 0.0),
        ('"2,25"', 2.25),
        (".5", 0.5),
        ("1e1", 10.0),
        ("0:02", 2.0),
        ("1:02.5", 62.5),
        ("01:00:02,25", 3602.25),
        ("-1", -1.0),
    ],
)
def test_numbers_and_times_as_programs_write_them(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "1e999", "1.234,5", "1 2", "0:75", "two", "0x1"]
)
def test_what_is_no_number_is_quoted(text):
    with pytest.raises(ValueError, match=r"is not a number of seconds"):
        number(text)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("dog", "Dog", "differ only by case"),
        ("straße", "STRASSE", "differ only by case"),
        ("Fl\u00f6te", "Flo\u0308te", "look the same, Flöte"),
        ("dog", "dog ", "differ only by blanks"),
        ("dog", "dog\u200b", "differ only by blanks"),
        ("a b", "a  b", "differ only by blanks"),
        ("a b", "a\u00a0b", "differ only by blanks"),
        ("1", "\uff11", "the form of their letters"),
    ],
)
def test_labels_that_look_alike_are_refused(one, other, said):
    assert alike(one) == alike(other)
    with pytest.raises(MaterialError, match=said):
        check_alike([one, "cat", other])


def test_labels_that_differ_are_kept():
    check_alike(["dog", "dogs", "Flöte", "Flote", "a b", "ab", "名前"])
