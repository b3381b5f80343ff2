"""The tutorials and how-tos: their commands run, in order, and the site has every page once."""

import asyncio
import re
import subprocess
import tomllib

import pytest

from tests.helpers.server_process import BIN, ROOT, server_process
from tests.test_docs import DOCUMENTS, README, blocks, lines
from tools.check_site import faults

TRAINING = ("docs/tutorials/first-own-model.md", "docs/how-to/train-from-a-spreadsheet.md")
FIRST_SOUND = DOCUMENTS["docs/tutorials/first-sound.md"]
SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
WRITTEN = {"reference/command-line.md", "reference/manifest.md", "reference/recipes.md"}
"""Pages that `make docs` writes from the code."""


def test_the_site_has_every_document_once():
    named = re.findall(r"[\w/-]+\.md", str(SITE["nav"]))
    assert sorted(named) == sorted({*DOCUMENTS, *WRITTEN})


def test_the_commands_of_the_first_tutorial_are_those_of_the_readme():
    assert len(lines(FIRST_SOUND)) == 3
    assert set(lines(FIRST_SOUND)) <= set(lines(README))


def test_the_python_of_the_first_tutorial_prints_labels(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (block,) = blocks(FIRST_SOUND, "python")
    with server_process("--set", "models=instruments") as server:
        body = "".join(
            f"    {line}\n" for line in block.replace("http://127.0.0.1:8000", server).splitlines()
        )
        scope = {}
        exec(f"async def example():\n{body}", scope)
        asyncio.run(scope["example"]())
    assert "flute" in capsys.readouterr().out


@pytest.mark.slow  # It trains twice.
@pytest.mark.timeout(600)
def test_the_commands_of_the_guides_to_training_run_in_order(tmp_path):
    for guide in TRAINING:
        if listed := [each for each in blocks(DOCUMENTS[guide], "text") if "path;labels" in each]:
            # As Excel writes it.
            (tmp_path / "recordings" / "list.csv").write_bytes(
                listed[0].replace("\n", "\r\n").encode("utf-8-sig")
            )
        for command in lines(DOCUMENTS[guide].replace("\\\n", " ")):
            here = command.replace(".venv/bin", str(BIN)).replace("examples/", f"{ROOT}/examples/")
            ran = subprocess.run(
                here.split(), check=False, cwd=tmp_path, capture_output=True, text=True
            )
            assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
            if "classify" in command:
                assert ran.stdout.splitlines()[0].endswith("  loose")
    assert (tmp_path / "artefacts" / "listed" / "1" / "model.onnx").exists()


@pytest.mark.slow  # It builds the site.
@pytest.mark.timeout(300)
def test_the_site_is_built_without_warnings_and_each_of_its_links_leads_somewhere():
    subprocess.run(["make", "-o", ".venv/dev", "docs", f"BIN={BIN}"], cwd=ROOT, check=True)
    assert (ROOT / "build" / "site" / "reference" / "command-line.html").exists()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="other.html#here">', ""),
        ('<a href="https://example.org">', ""),
        ('<img src="data:image/png;base64,AA==">', ""),
        ('<a href="missing.html">', "page.html: missing.html does not exist"),
        ('<a href="other.html#nowhere">', "page.html: other.html#nowhere has no such place"),
        ('<a href="#nowhere">', "page.html: #nowhere has no such place"),
        ('<img src="missing.png">', "page.html: missing.png does not exist"),
        (
            '<script src="https://example.org/a.js"></script>',
            "page.html: https://example.org/a.js is fetched from elsewhere",
        ),
        (
            '<link rel="stylesheet" href="//example.org/a.css">',
            "page.html: //example.org/a.css is fetched from elsewhere",
        ),
    ],
)
def test_a_link_of_the_site_is_checked(tmp_path, body, fault):
    (tmp_path / "page.html").write_text(body)
    (tmp_path / "other.html").write_text('<h1 id="here">')
    assert list(faults(tmp_path)) == [fault] * bool(fault)
