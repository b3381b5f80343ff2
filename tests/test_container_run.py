"""What an image and its parts take is measured by their files."""

import subprocess

import pytest

from tools import container_run


def test_the_parts_of_an_image_are_measured(tmp_path):
    (tmp_path / "opt" / "timbre").mkdir(parents=True)
    (tmp_path / "opt" / "timbre" / "package").write_bytes(b"x" * (3 << 20))
    (tmp_path / "base").write_bytes(b"x" * (2 << 20))
    found = {row["what"]: round(row["mib"]) for row in container_run.sizes(tmp_path, None)}
    assert found == {"Python and its packages": 3, "whole image": 5}
    rows = container_run.sizes(tmp_path, tmp_path / "base")
    assert rows[0]["what"] == "base"
    assert round(rows[0]["mib"]) == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "it does not become ready"),
        (container_run.WRITABLE, "the root can be written to"),
        (1, "it does not become ready: it has ended with 1"),
    ],
)
def test_why_it_is_not_ready_is_told(code, words):
    assert container_run.why_not(code) == words


def test_what_does_not_end_is_named(monkeypatch):
    monkeypatch.setattr(container_run, "GRACE_S", 0.05)
    process = subprocess.Popen(["sleep", "60"])
    try:
        with pytest.raises(SystemExit, match="does not end within"):
            container_run.ended(process)
    finally:
        process.kill()
        process.wait()
    assert container_run.ended(process) == -9
