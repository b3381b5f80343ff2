"""The files that a path stands for."""

from pathlib import Path

import pytest

from common.errors import Unprocessable
from service.archive.paths import check_path, file_of, size_of


@pytest.mark.parametrize("path", ["a.csv", "{source}/%Y-%m-%d.csv", "~/%Y.csv"])
def test_a_path_may_hold_the_source_and_times(path):
    check_path(path)


@pytest.mark.parametrize("path", ["{day}.csv", "{", "{source:d}.csv", "{0}"])
def test_other_braces_are_named(path):
    with pytest.raises(Unprocessable, match="may hold"):
        check_path(path)


@pytest.mark.parametrize(
    ("path", "others"),
    [
        ("a.sqlite", ["b.sqlite", "x/a.sqlite", "a.sqlite-old", "a.sqlite.bak"]),
        ("%Y-%m.sqlite", ["2026.csv", "old-05.sqlite", "2026-05.sqlite.gz", "x/2026-05.sqlite"]),
        ("%Y%m/%d.sqlite", ["202605/readme", "15.sqlite"]),
        ("{source}/%Y-%m.sqlite", ["2026-05.sqlite"]),
        ("a[1]/%Y-%m.sqlite", ["a1/2026-05.sqlite"]),
        ("100%%/%Y-%m.sqlite", ["2026-05.sqlite"]),
    ],
)
def test_all_of_them_count_with_their_write_ahead_logs_and_no_others(path, others, tmp_path):
    files = set()
    for at_ms in (0, 10**12):
        for suffix in ("", "-wal"):
            file = Path(f"{file_of(str(tmp_path / path), source='all', at_ms=at_ms)}{suffix}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"abc")
            files.add(file)
    for other in others:
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).write_bytes(b"other")
    assert size_of(str(tmp_path / path)) == len(files) * len(b"abc")


def test_before_the_first_there_are_none(tmp_path):
    assert size_of(str(tmp_path / "new" / "%Y.sqlite")) == 0
    (tmp_path / "2026").touch()
    assert size_of(str(tmp_path / "%Y" / "%m.sqlite")) == 0
