"""The documents: their commands run, and every setting, error, message and command is in them."""

import asyncio
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields

import pytest

from benchmarks import cli
from benchmarks.reporting import everything
from common import errors
from service import protocol
from service.settings import Settings
from tests.helpers.server_process import BIN, ROOT, server_process
from tests.test_house import ROOMS
from tools.docs_site import SHOWN

DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in ("", "docs/**/", "benchmarks/")
    for path in sorted(ROOT.glob(f"{folder}*.md"))
}
README, PROTOCOL, TRAINING, CONTRIBUTING = (
    DOCUMENTS[name] for name in ("README.md", "PROTOCOL.md", "TRAINING.md", "CONTRIBUTING.md")
)
FOLDERS = "common|features|models|service|training|benchmarks|tests|tools|examples|docs"


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def lines(text):
    """The commands of the README's shell blocks, without what a person reads beside them."""
    commands = [
        line.split("  #")[0].strip() for block in blocks(text, "sh") for line in block.splitlines()
    ]
    return [command for command in commands if command]


@pytest.fixture(scope="module")
def server():
    """The command of the README, on a free port."""
    with server_process() as address:
        yield address


def test_the_page_of_settings_is_what_the_code_says():
    command = [sys.executable, "tools/settings_page.py"]
    page = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert (ROOT / "SETTINGS.md").read_text(encoding="utf-8") == page
    for field in fields(Settings):
        assert f"| `{field.name}` |" in page


@pytest.mark.parametrize(
    "error",
    [e for e in vars(errors).values() if inspect.isclass(e) and issubclass(e, errors.TimbreError)],
)
def test_every_error_is_documented_with_its_status_and_close_code(error):
    assert re.search(
        rf"\| `{protocol.code_of(error(''))}` \| {error.status} \| {error.close_code} \|", PROTOCOL
    )


@pytest.mark.parametrize(
    "message",
    [
        m
        for m in vars(protocol).values()
        if inspect.isclass(m) and isinstance(getattr(m, "type", None), str)
    ],
)
def test_every_message_and_every_field_is_documented(message):
    assert f"**`{message.type}`**" in PROTOCOL
    for field in fields(message):
        assert re.search(rf'[`"]{field.name}[`"]', PROTOCOL), field.name


def test_every_make_target_of_the_documents_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = "".join(DOCUMENTS.values())
    named = set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", text, flags=re.MULTILINE))
    assert {"serve", "test", "bench", "check"} <= named
    for target in named:
        assert re.search(rf"^{target}:.*## ", makefile, flags=re.MULTILINE), target


def test_every_command_of_the_documents_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = "".join(DOCUMENTS.values())
    named = set(re.findall(r"(?:`|^|/|= )timbre ([a-z]+)", text, flags=re.MULTILINE))
    assert named == set(project["entry-points"]["timbre.commands"])
    benchmarks = set(re.findall(r"`timbre bench ([a-z-]+)", text))
    assert benchmarks <= set(cli.HELP) | set(cli.OWN)


def test_the_readme_is_one_page_with_the_two_commands_on_it():
    assert README.count("\n") <= 130
    assert {"make serve", "make test"} <= set(lines(README))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_lines_have_at_most_100_columns(name):
    # The rows of a table cannot be broken.
    text = [line for line in DOCUMENTS[name].splitlines() if not line.startswith("|")]
    assert [line for line in text if len(line) > 100] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_and_heading_that_is_pointed_at_exists(name):
    text, folder = DOCUMENTS[name], (ROOT / name).parent
    for path, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        assert (folder / path).exists(), path
        pointed_at = (folder / path).read_text(encoding="utf-8") if path.endswith(".md") else text
        headings = re.findall(r"^#+ (.*)$", pointed_at, flags=re.MULTILINE)
        slugs = (re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings)
        assert heading in {"", *slugs}, heading
    for path in re.findall(r"(?:src|srcset)=\"([^\"]*)\"", text):
        assert (folder / path).exists(), path


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_site_has_every_file_that_is_pointed_at(name):
    shown = {path.resolve() for pattern in SHOWN for path in ROOT.glob(pattern)}
    for path in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", DOCUMENTS[name]):
        assert ((ROOT / name).parent / path).resolve() in shown, path


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "TRAINING.md", "BENCHMARKS.md", "MODELS.md"])
def test_every_file_that_is_named_exists(name):
    named = re.findall(rf"\b(?:{FOLDERS})/[\w./{{}},*-]*\w", DOCUMENTS[name])
    made_up = ("artefacts/", "features/kernels/__pycache__", "models/artefacts/NAME", "tests/ROOM")
    for path in named:
        assert path.startswith(made_up) or (ROOT / path).exists() or any(ROOT.glob(path)), path


def test_every_room_is_on_the_map():
    rooms = {room.split("/")[-1] for rooms in ROOMS.values() for room in rooms}
    assert rooms <= set(re.findall(r"\w+", CONTRIBUTING.partition("## Rooms")[2]))


def test_both_drawings_of_the_architecture_are_one_but_for_the_colours():
    light, dark = (
        (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
        for name in ("architecture.svg", "architecture-dark.svg")
    )
    differing = [a for a, b in zip(light, dark, strict=True) if a != b]
    assert [line.split("{")[0].strip() for line in differing] == ["svg"]


@pytest.mark.parametrize(
    "recipe", sorted(path.name for path in (ROOT / "training" / "recipes").glob("*.toml"))
)
def test_every_recipe_is_documented(recipe):
    assert f"(training/recipes/{recipe})" in TRAINING


@pytest.mark.parametrize("command", [line for line in lines(README) if "curl" in line])
def test_the_readmes_rest_calls_answer(command, server):
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    command = command.replace("http://127.0.0.1:8000", server)
    answer = subprocess.run(
        ["bash", "-c", f"{command} --fail --silent --show-error"],
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    assert answer.returncode == 0, answer.stderr
    assert b'"labels"' in answer.stdout or b'"predictions"' in answer.stdout


@pytest.mark.parametrize("command", [line for line in lines(README) if "/timbre " in line])
def test_the_readmes_commands_run(command, server):
    command = command.replace(".venv/bin", str(BIN))
    if "listen" in command:
        command += f" --url {server} --json"
    answer = subprocess.run(command.split(), capture_output=True, text=True, check=False, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    assert ("flags" if "flag.png" in command else "flute") in answer.stdout


def test_the_readmes_python_runs(server, monkeypatch):
    monkeypatch.chdir(ROOT)
    for block in blocks(README, "python"):
        body = "".join(
            f"    {line}\n" for line in block.replace("http://127.0.0.1:8000", server).splitlines()
        )
        scope = {}
        exec(f"async def example():\n{body}", scope)
        asyncio.run(scope["example"]())


MEASURED = {
    name: command.split()[-1]
    for name, command in everything.ELSEWHERE.items()
    if "make" in command.split()
}


@pytest.mark.parametrize("name", MEASURED)
def test_a_target_whose_figures_a_document_tells_writes_them(name):
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(rf"^{MEASURED[name]}:.*\n((?:\t.*\n)+)", text, flags=re.MULTILINE)
    script = ROOT / "tools" / MEASURED[name]
    takes = "JSON" in script.read_text(encoding="utf-8") if script.is_file() else False
    assert "$(RESULT)" in recipe or takes
    assert "RESULT = $(if $(JSON),--json $(JSON))" in text
