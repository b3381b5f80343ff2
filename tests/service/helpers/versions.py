"""Puts versions of the toy models in place, whole and broken ones."""

import hashlib
import json
import shutil
from pathlib import Path


def put(folder, version, *, name="toy", of=None, broken=False, **changes):
    """Copy a version (the newest, or `of`) to another number and change manifest fields."""
    newest = max(
        (int(each.name) for each in (folder / name).iterdir() if each.name.isdigit()), default=0
    )
    draft = folder / name / f".draft-{version}"
    shutil.copytree(of or folder / name / str(newest), draft)
    graph, path = draft / "model.onnx", draft / "manifest.json"
    manifest = json.loads(path.read_text())
    if broken:
        graph.write_bytes(b"half of it")
    else:
        # Every version is another graph: a doc_string at the end of the protobuf makes it one.
        told = f"version {version}".encode()
        graph.write_bytes(graph.read_bytes() + b"\x32" + bytes([len(told)]) + told)
        manifest["files"]["model.onnx"] = hashlib.sha256(graph.read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest | {"name": name, "version": str(version), **changes}))
    return draft.rename(folder / name / str(version))


def copied(artefacts, tmp_path):
    """A copy of the artefacts that may be changed."""
    return Path(shutil.copytree(artefacts, tmp_path / "artefacts"))


def served(server, name="toy"):
    """The version that a server serves."""
    return server.gateway.registry.find(name).version
