"""Full disks, killed processes and missing libraries: clear errors, no partial output."""

import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.store import DEFAULT_PATH, Store

ROOT = Path(__file__).parents[2]
COMMAND = "import sys; from training.{module} import main; sys.exit(main(sys.argv[1:]))"
WRITER = """
import json, sys
from pathlib import Path
from models.artefact import write
from models.manifest import Label
from models.store import read
import numpy as np
source, out = Path(sys.argv[1]), Path(sys.argv[2])
model = read(source)
inputs = np.load(source / "golden.npz")["inputs"]
graph = (source / "model.onnx").read_bytes()
labels = list(model.manifest.labels)
while True:
    write(out, name="again", task="multi-label", kind=model.kind, config=model.config,
          labels=labels, onnx=graph, golden_inputs=inputs, report="", metrics={}, provenance=[],
          libraries={})
    print("written", flush=True)
"""


def run(module, *arguments, before="", bound=None):
    def limit():
        if bound:
            resource.setrlimit(resource.RLIMIT_FSIZE, (bound, bound))

    return subprocess.run(
        [sys.executable, "-c", before + COMMAND.format(module=module), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        preexec_fn=limit,
    )


def test_a_writer_killed_at_any_time_leaves_only_whole_artefacts(tmp_path):
    store, chance = Store(DEFAULT_PATH), random.Random(1)
    source = DEFAULT_PATH / "instruments-net" / store.versions("instruments-net")[-1]
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, source, tmp_path], stdout=subprocess.PIPE, cwd=ROOT
        )
        assert process.stdout.readline() == b"written\n"
        time.sleep(chance.uniform(0.05, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    made = Store(tmp_path)
    assert made.names() == ["again"]
    for version in made.versions("again"):
        assert made.load("again", version).version == version


@pytest.fixture
def arguments(tmp_path, notes_folder):
    """A quick training on three instruments of one source."""
    settings = [
        "profile=quick",
        "jobs=1",
        "material.fonts=[]",
        f"data={notes_folder.parent}",
        "material.folders=toy",
    ]
    settings += [f"cache={tmp_path / 'cache'}", "material.ensemble=''", "models=forest"]
    return [
        "instruments",
        "--out",
        tmp_path / "out",
        *(word for change in settings for word in ("--set", change)),
    ]


def test_a_full_disk_ends_training_with_one_line_and_no_artefact(tmp_path, arguments):
    answer = run("cli", *arguments, bound=2_000_000)
    assert answer.returncode == 1
    assert "no room for" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not list((tmp_path / "out").glob("*/*"))
    assert not list((tmp_path / "cache").glob("windows-*"))


@pytest.mark.parametrize(
    ("module", "arguments", "part"),
    [
        ("cli", ["instruments"], "training.notes.window_set"),
        ("studies.cli", ["pca", "x"], "training.recordings.table"),
    ],
)
def test_without_a_library_it_says_what_to_install(module, arguments, part):
    answer = run(module, *arguments, before=f"import sys; sys.modules[{part!r}] = None\n")
    assert answer.returncode == 1
    assert "pip install 'timbre[train]'" in answer.stderr
    assert "Traceback" not in answer.stderr
