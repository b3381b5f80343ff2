"""Shipped kernels are of these sources and give the same features; others are compiled here."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.errors import TimbreError
from features import extract
from features.kernels import loader
from features.kernels.loader import ENTRIES, SHIPPED, library_name, load, symbol
from features.kernels.processor import LEVELS, flags
from tests.features import oracle

HERE = LEVELS.get(platform.machine(), {}) if sys.platform == "linux" else {}
RUN = [name for name, needed in HERE.items() if needed <= flags()]
FEATURES = loader.FOLDER.parent
SOUNDS = (oracle.melody(3), oracle.noise(1), oracle.tone(440), oracle.clicks(20_000))


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


def copied(folder, *, without="compiled"):
    """The sources, without the shipped kernels, so that a process must compile them."""
    ignored = shutil.ignore_patterns("__pycache__", without)
    shutil.copytree(FEATURES, folder / "features", ignore=ignored)
    return folder


def computed(entries, monkeypatch):
    """Both tensors of the sounds, by these entries."""
    monkeypatch.setattr(extract, "entries", lambda: entries)
    monkeypatch.setattr(extract, "_local", extract.threading.local())
    kinds = ("features", "log_mel")
    return [np.array([extract.compute(each, kind=kind) for each in SOUNDS]) for kind in kinds]


def read(*command):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed: tools/system-packages tests")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_kernels_of_these_sources_are_shipped_for_every_level_and_no_others():
    expected = {library_name(name) for levels in LEVELS.values() for name in levels}
    assert {path.name for path in SHIPPED.iterdir()} == expected, "make kernels"


def test_this_machine_loads_them():
    if not RUN:
        pytest.skip(f"nothing is shipped for {sys.platform} on {platform.machine()}")
    assert loader.shipped() == SHIPPED / library_name(RUN[0])
    assert loader.compiled_file() == loader.shipped()


def test_all_that_have_fused_multiply_add_give_the_same_features_and_others_librosas(monkeypatch):
    results = {name: computed(load(SHIPPED / library_name(name)), monkeypatch) for name in RUN}
    assert results or not HERE
    fused = [results[name] for name in ("x86-64-v4", "x86-64-v3") if name in results]
    for features, log_mel in fused[1:]:
        np.testing.assert_array_equal(features, fused[0][0])
        np.testing.assert_array_equal(log_mel, fused[0][1])
    for features, log_mel in results.values():
        first = next(iter(results.values()))
        np.testing.assert_allclose(features, first[0], rtol=2e-6, atol=2e-6)
        np.testing.assert_allclose(log_mel, first[1], rtol=2e-6, atol=2e-5)
        np.testing.assert_allclose(
            features, [oracle.features(each) for each in SOUNDS], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.so")), ids=lambda path: path.name)
def test_they_need_nothing_but_memset_of_the_c_library(path):
    table = read("readelf", "--wide", "--dyn-syms", path)
    assert re.findall(r" UND (\w+)", table) == ["memset"]
    assert set(re.findall(r"FUNC .* \d+ (\w+)", table)) == {symbol(name) for name in ENTRIES}
    assert "NEEDED" not in read("readelf", "--dynamic", path)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="objdump knows its own machine only")
@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [("x86-64", "xmm", r"ymm|zmm|\bv\w+ps\b"), ("x86-64-v3", "vfmadd", "zmm|%k1")],
)
def test_each_uses_the_instructions_of_its_level_only(name, has, lacks):
    code = read("objdump", "--disassemble", "--no-show-raw-insn", SHIPPED / library_name(name))
    assert has in code
    assert not re.search(lacks, code)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.so")), ids=lambda path: path.name)
def test_no_product_of_the_cepstra_is_fused_with_a_sum(path):
    machine = "aarch64" if path.name.startswith("aarch64") else "x86_64"
    name = symbol("mean_cepstra")
    code = read(f"{machine}-linux-gnu-objdump", f"--disassemble={name}", path)
    assert len(re.findall(r"\tv?f?mulps|\tfmul", code)) > 50
    assert not re.search(r"\tv?fn?m(add|sub|la|ls)", code)


def test_a_process_that_loads_them_holds_no_compiler():
    if not RUN:
        pytest.skip(f"nothing is shipped for {sys.platform} on {platform.machine()}")
    code = (
        "import sys, features.warm; features.warm.warm(); "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'numba', 'llvmlite'}))"
    )
    assert ran(FEATURES.parent, code) == "[]"


@pytest.mark.slow  # compiles all kernels
def test_they_are_the_bytes_that_these_sources_give(tmp_path):
    loader.compile_kernels(str(tmp_path))
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in SHIPPED.iterdir()}


@pytest.mark.slow  # compiles all kernels
def test_kernels_compiled_for_this_processor_give_what_the_shipped_ones_give(monkeypatch):
    addresses = loader._addresses_by_llvm(loader.compile_kernels())
    entries = {name: loader._type(ENTRIES[name])(addresses[name]) for name in ENTRIES}
    here, shipped = (computed(each, monkeypatch) for each in (entries, load(loader.shipped())))
    np.testing.assert_array_equal(here[0], shipped[0])
    np.testing.assert_array_equal(here[1], shipped[1])


@pytest.mark.slow  # compiles all kernels
def test_without_shipped_ones_the_first_process_compiles_them_and_keeps_them(tmp_path):
    folder = copied(tmp_path)
    np.save(folder / "sound.npy", oracle.melody(3))
    code = (
        "import numpy as np, features.extract as e; "
        "print(e.__file__, *e.extract(np.load('sound.npy')).tolist())"
    )
    where, *vector = ran(folder, code).split()
    assert Path(where).parent == folder / "features"
    assert [float(each) for each in vector] == extract.extract(oracle.melody(3)).tolist()
    (made,) = (folder / "features/kernels/__pycache__").glob("kernels-*")
    assert made.suffix == ".o"
    made.write_bytes(b"")
    assert ran(folder, "from features.kernels import loader; print(loader._object())") == "b''"


def test_where_the_code_lies_in_a_folder_that_takes_nothing_the_user_keeps_it(
    tmp_path, monkeypatch
):
    folder = copied(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
    (folder / "features/kernels/__pycache__").write_text("no folder")
    keep = (
        "from features.kernels import loader; name = loader._object_name(); "
        "loader._keep(name, b'code'); print(name)"
    )
    name = ran(folder, keep)
    assert [path.name for path in (folder / "cache/timbre").iterdir()] == [name]
    assert ran(folder, "from features.kernels import loader; print(loader._object())") == "b'code'"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", f"{folder}/home")
    assert ran(folder, keep) == name
    assert (folder / "home/.cache/timbre" / name).exists()


def test_without_shipped_ones_and_without_numba_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(loader, "shipped", lambda: None)
    monkeypatch.setattr(loader, "_object_name", lambda: "kernels-none.o")
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(TimbreError, match=r"pip install 'timbre\[kernels\]'"):
        loader.entries.__wrapped__()


@pytest.mark.parametrize("name", loader.SOURCES)
def test_other_code_has_no_shipped_kernels_and_another_object_file(tmp_path, monkeypatch, name):
    before, object_before = loader.shipped(), loader._object_name()
    folder = copied(tmp_path, without="none") / "features/kernels"
    monkeypatch.setattr(loader, "FOLDER", folder)
    monkeypatch.setattr(loader, "SHIPPED", folder / "compiled")
    assert (loader.shipped() is None) == (before is None)
    assert loader._object_name() == object_before
    with (folder / f"{name}.py").open("a") as source:
        source.write("# changed\n")
    assert loader.shipped() is None
    assert loader._object_name() != object_before


def test_all_that_knows_the_compiler_is_one_of_the_sources():
    knowing = {path.stem for path in loader.FOLDER.glob("*.py") if "from numba" in path.read_text()}
    assert knowing <= set(loader.SOURCES)


def test_installation_says_which_kernels_they_are():
    said = read(sys.executable, "-m", "features.warm")
    assert said == f"kernels: {loader.compiled_file()}\n"
