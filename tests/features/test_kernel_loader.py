"""The object file is made where there is none, kept, and never taken for other code's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from features import kernel_loader
from features.extract import extract
from features.object_file import ObjectFile, UnsupportedError
from features.warm import target
from tests.features import oracle


def ran(folder, code):
    """What Python code prints that finds `features` in this folder only."""
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )
    return shown.stdout.strip()


def copied(folder):
    shutil.copytree(
        kernel_loader.FOLDER, folder / "features", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


@pytest.mark.slow  # compiles all kernels
def test_the_first_process_makes_the_object_file_and_keeps_it(tmp_path):
    folder = copied(tmp_path)
    np.save(folder / "sound.npy", oracle.melody(3))
    code = (
        "import numpy as np, features.extract as e; "
        "print(e.__file__, *e.extract(np.load('sound.npy')).tolist())"
    )
    where, *vector = ran(folder, code).split()
    assert Path(where).parent == folder / "features"
    assert [float(each) for each in vector] == extract(oracle.melody(3)).tolist()
    (made,) = (folder / "features/__pycache__").glob("kernels-*")
    assert made.suffix == ".o"
    made.write_bytes(b"")
    assert (
        ran(folder, "from features import kernel_loader; print(kernel_loader._object())") == "b''"
    )


def test_where_the_code_lies_in_a_folder_that_takes_nothing_the_user_keeps_it(
    tmp_path, monkeypatch
):
    folder = copied(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
    (folder / "features/__pycache__").write_text("no folder")
    keep = (
        "from features import kernel_loader as loader; name = f'kernels-{loader._key()}.o'; "
        "loader._keep(name, b'code'); print(name)"
    )
    name = ran(folder, keep)
    assert [path.name for path in (folder / "cache/timbre").iterdir()] == [name]
    assert (
        ran(folder, "from features import kernel_loader; print(kernel_loader._object())")
        == "b'code'"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", f"{folder}/home")
    assert ran(folder, keep) == name
    assert (folder / "home/.cache/timbre" / name).exists()


def test_where_the_loader_knows_the_machine_no_llvm_is_loaded():
    kernel_loader.entries()
    if not any(isinstance(each, ObjectFile) for each in kernel_loader._loaded):
        pytest.skip("LLVM loads the kernels of this machine")
    code = (
        "import sys, features.warm; features.warm.warm(); "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'numba', 'llvmlite'}))"
    )
    assert ran(kernel_loader.FOLDER.parent, code) == "[]"


def test_what_the_loader_does_not_know_is_loaded_by_llvm(monkeypatch):
    def reject(_):
        raise UnsupportedError("nothing is known")

    expected = extract(oracle.melody(3)).tolist()
    monkeypatch.setattr(kernel_loader, "ObjectFile", reject)
    monkeypatch.setattr(kernel_loader, "_loaded", [])
    by_llvm = kernel_loader.entries.__wrapped__()
    monkeypatch.setattr("features.extract.entries", lambda: by_llvm)
    assert extract(oracle.melody(3)).tolist() == expected


def test_other_code_is_another_object_file(tmp_path):
    folder, code = (
        copied(tmp_path),
        "from features import kernel_loader; print(kernel_loader._key())",
    )
    before = ran(folder, code)
    assert before == kernel_loader._key()
    for name in kernel_loader.SOURCES:
        with (folder / f"features/{name}.py").open("a") as source:
            source.write("# changed\n")
        after = ran(folder, code)
        assert after != before
        before = after


def test_all_that_knows_the_compiler_is_one_of_the_sources():
    knowing = {
        path.stem for path in kernel_loader.FOLDER.glob("*.py") if "from numba" in path.read_text()
    }
    assert knowing <= set(kernel_loader.SOURCES)


def test_the_instruction_set_is_said_and_is_one_that_this_processor_has():
    said = subprocess.run(
        [sys.executable, "-m", "features.warm"],
        capture_output=True,
        text=True,
        check=True,
        cwd=kernel_loader.FOLDER.parent,
    ).stdout
    assert said == f"kernels for {target()}\n"
    cpu = Path("/proc/cpuinfo")
    widest = said.split()[-1]
    if cpu.exists() and widest.startswith("avx"):
        assert widest in cpu.read_text().split()
        assert widest == "avx512f" or "avx512f" not in cpu.read_text().split()
