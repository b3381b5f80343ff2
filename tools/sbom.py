#!/usr/bin/env python3
"""Write which packages a folder holds, as CycloneDX 1.6: names, versions, licences, addresses.

    sbom.py FOLDER [ROOT]     a folder of site-packages; the root of a Debian, for its packages too

It runs where Timbre does not: in the build of an image, with nothing but Python.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

MAX_NAME = 200
"""Characters of a licence that is no expression."""
SUBJECT = "timbre"


def bill(folder: Path, root: Path | None = None) -> dict[str, Any]:
    """Return the bill of materials. root: of a Debian, whose packages belong to it as well."""
    found = sorted(distributions(path=[str(folder)]), key=lambda each: each.name.lower())
    parts = [_python_part(each) for each in found]
    subject = [part for part in parts if part["name"] == SUBJECT]
    others = [part for part in parts if part["name"] != SUBJECT]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**subject[0], "type": "application"}} if subject else {},
        "components": [*others, *(_debian_parts(root) if root else ())],
    }


def _python_part(found: Distribution) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", found.name).lower()
    address = f"pkg:pypi/{name}@{quote(found.version)}"
    part = {"type": "library", "bom-ref": address, "name": name, "version": found.version}
    part["purl"] = address
    if licence := _licence(found):
        part["licenses"] = [licence]
    return part


def _licence(found: Distribution) -> dict[str, Any] | None:
    """Return the licence as the package tells it: an expression, a name, or the classifiers."""
    tells = found.metadata
    if expression := tells.get("License-Expression"):
        return {"expression": expression}
    text = (tells.get("License") or "").strip()
    if text and "\n" not in text and len(text) <= MAX_NAME:
        return {"license": {"name": text}}
    kinds = [each for each in tells.get_all("Classifier") or () if each.startswith("License :: ")]
    return {"license": {"name": kinds[0].rpartition(" :: ")[2]}} if kinds else None


def _debian_parts(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the packages that are installed there, as dpkg has them written down."""
    text = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    for paragraph in text.split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): (.*)$", paragraph, flags=re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            name, version = fields["Package"], fields["Version"]
            address = f"pkg:deb/debian/{name}@{quote(version)}?arch={fields['Architecture']}"
            yield {
                "type": "library",
                "bom-ref": address,
                "name": name,
                "version": version,
                "purl": address,
            }


def main(arguments: list[str]) -> int:
    """Write it to standard output; return the exit code."""
    folder, *root = map(Path, arguments)
    found = bill(folder, root[0] if root else None)
    # One line a package is read by people too; no number in it can be NaN.
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
