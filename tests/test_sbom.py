"""The bill of materials names every package that is installed, as CycloneDX has it."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import aiohttp

from tests.helpers.server_process import ROOT
from tools import sbom

META = "Metadata-Version: 2.4\nName: {}\nVersion: {}\n{}\n"
STATUS = """Package: base-files
Status: install ok installed
Architecture: arm64
Version: 12.4+deb12u5

Package: gone
Status: deinstall ok config-files
Architecture: arm64
Version: 1
"""


def installed(folder, name, version="1.0", more=""):
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(META.format(name, version, more))


def test_every_distribution_of_this_environment_is_named_with_its_version():
    folder = Path(aiohttp.__file__).parents[1]
    found = sbom.bill(folder)
    names = {(part["name"], part["version"]) for part in found["components"]}
    expected = {
        (re.sub(r"[-_.]+", "-", each.name).lower(), each.version)
        for each in importlib.metadata.distributions(path=[str(folder)])
    }
    assert names == {each for each in expected if each[0] != "timbre"}
    assert {"numpy", "onnxruntime", "aiohttp"} <= {name for name, _ in names}


def test_a_package_has_its_address_its_licence_and_the_subject_is_told_apart(tmp_path):
    installed(tmp_path, "timbre", "0.1.0", "License-Expression: Apache-2.0\n")
    installed(tmp_path, "Some_Thing", "2+local", "License: BSD\n")
    installed(tmp_path, "classified", more="Classifier: License :: OSI Approved :: MIT License\n")
    installed(tmp_path, "silent")
    found = sbom.bill(tmp_path)
    subject = found["metadata"]["component"]
    assert (subject["type"], subject["name"], subject["version"]) == (
        "application", "timbre", "0.1.0",
    )  # fmt: skip
    assert subject["licenses"] == [{"expression": "Apache-2.0"}]
    parts = {part["name"]: part for part in found["components"]}
    assert parts["some-thing"]["purl"] == "pkg:pypi/some-thing@2%2Blocal"
    assert parts["some-thing"]["licenses"] == [{"license": {"name": "BSD"}}]
    assert parts["classified"]["licenses"] == [{"license": {"name": "MIT License"}}]
    assert "licenses" not in parts["silent"]
    references = [part["bom-ref"] for part in found["components"]]
    assert len(set(references)) == len(references)


def test_the_packages_of_a_debian_belong_to_it_and_removed_ones_do_not(tmp_path):
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    (part,) = sbom.bill(tmp_path / "none", tmp_path)["components"]
    assert part["purl"] == "pkg:deb/debian/base-files@12.4%2Bdeb12u5?arch=arm64"


def test_it_runs_where_nothing_is_installed_and_prints_json(tmp_path):
    installed(tmp_path, "alone")
    command = [sys.executable, "-I", "-S", ROOT / "tools" / "sbom.py", tmp_path]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads(printed)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert [part["name"] for part in found["components"]] == ["alone"]
