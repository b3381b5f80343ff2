"""The wheel holds all that the packages need, and works where nothing else is installed."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from benchmarks.reporting import results
from tests.helpers.server_process import ROOT
from tools import package

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("common", "features", "models", "service", "training", "benchmarks")
PEERS = "benchmarks/peers/"
"""Programs of environments that have other packages; they run in the repository only."""


def packed():
    """The files of the packages, as git knows them."""
    if not (ROOT / ".git").exists():
        pytest.skip("only git tells what belongs to the packages")
    listed = subprocess.check_output(["git", "ls-files", "-z", *PACKAGES], cwd=ROOT, text=True)
    names = {name for name in listed.split("\0") if name and (ROOT / name).exists()}
    return {name for name in names if not name.startswith(PEERS)}


def test_every_kind_of_file_beside_the_code_is_packed():
    (patterns,) = PROJECT["tool"]["setuptools"]["package-data"].values()
    kinds = {Path(name).suffix for name in packed()} - {".py"}
    assert kinds <= {pattern.removeprefix("**/*") for pattern in patterns}


def test_every_folder_with_code_is_a_package_with_an_init_file():
    folders = {Path(name).parent for name in packed() if name.endswith(".py")}
    assert [str(each) for each in folders if not (ROOT / each / "__init__.py").exists()] == []


def test_what_compiles_is_no_dependency_where_kernels_are_shipped():
    needed = PROJECT["project"]["dependencies"]
    compilers = [each for each in needed if each.startswith(("numba", "llvmlite"))]
    assert len(compilers) == 2
    for each in compilers:
        marker = each.partition(";")[2]
        assert "sys_platform != 'linux'" in marker
        assert "platform_machine != 'x86_64' and platform_machine != 'aarch64'" in marker


def test_the_largest_parts_of_an_environment_are_told_with_their_libraries(tmp_path):
    blocks = {
        "numpy": 3,
        "numpy.libs": 4,
        "PIL": 1,
        "pillow.libs": 1,
        "small": 1,
        "features": 2,
        "models": 3,
        "a.dist-info": 9,
    }
    for name, mib in blocks.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"x" * (mib << 20))
    found = package.parts_of(tmp_path)
    assert {name: round(mib) for name, mib in found.items()} == {
        "numpy": 7,
        "pillow": 2,
        "small": 1,
        "Timbre": 5,
    }
    told = package.largest(found)
    assert told == "The largest parts of the last, in MiB: numpy 7, Timbre 5, pillow 2, small 1."


@pytest.mark.slow  # installs from the registry
@pytest.mark.timeout(1_200)
def test_the_wheel_holds_these_files_and_works_in_a_clean_environment(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(package, "OUT", tmp_path)
    made = tmp_path / "package.json"
    assert package.main([sys._base_executable, "--json", str(made)]) == 0
    report = results.read(made)
    assert report["rows"][0]["installed_mib"] <= package.MAX_MIB
    assert "Timbre" in report["note"]
    assert sys._base_executable not in made.read_text(encoding="utf-8")
    (wheel,), (source,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {name for name in names if not name.startswith(PEERS)} == packed()
    assert capsys.readouterr().out.startswith(source.name)
