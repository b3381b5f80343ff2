"""Puts versions of the toy models in place, whole and broken ones."""

import json
import shutil
from pathlib import Path


def put(folder, version, *, name="toy", of=None, broken=False, **changes):
    """Copy a version (the model's newest, or `of`) to another number by a rename; change fields of its manifest."""
    newest = max((int(each.name) for each in (folder / name).iterdir() if each.name.isdigit()), default=0)
    draft = folder / name / f".draft-{version}"
    shutil.copytree(of or folder / name / str(newest), draft)
    path = draft / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name, "version": str(version), **changes}))
    if broken:
        (draft / "model.onnx").write_bytes(b"half of it")
    return draft.rename(folder / name / str(version))


def copied(artefacts, tmp_path):
    """A copy of the artefacts that may be changed."""
    return Path(shutil.copytree(artefacts, tmp_path / "artefacts"))
