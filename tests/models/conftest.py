"""One small forest and its artefact, made once; every test gets a copy it may break."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler

from models.artefact import write
from models.export.forest import export
from models.manifest import Label


@pytest.fixture(scope="session")
def windows():
    """float32 features (400, 26) of very different size, and what is in them: bool (400, 3)."""
    rng = np.random.default_rng(1)
    present = rng.random((400, 3)) < (0.2, 0.5, 0.7)
    rows = present @ rng.normal(size=(3, 26)) + 0.5 * rng.normal(size=(400, 26))
    return (rows * np.geomspace(0.01, 1_000, 26)).astype(np.float32), present


@pytest.fixture(scope="session")
def steps(windows):
    """A fitted scaler, PCA and forest of 3 labels."""
    rows, present = windows
    scaler = StandardScaler().fit(rows.astype(np.float64))
    scaled = scaler.transform(rows.astype(np.float64))
    pca = PCA(16, random_state=0).fit(scaled)
    return (
        scaler,
        pca,
        RandomForestClassifier(20, random_state=0).fit(pca.transform(scaled), present.astype(int)),
    )


@pytest.fixture(scope="session")
def graph(steps):
    scaler, pca, forest = steps
    return export(forest, scaler=scaler, pca=pca)


@pytest.fixture(scope="session")
def fields(graph, windows):
    """What `write` wants to know, all of it right."""
    return {
        "name": "trio",
        "task": "multi-label",
        "kind": "features",
        "labels": [Label(name=name, threshold=0.5) for name in ("piano", "violin", "flute")],
        "onnx": graph,
        "golden_inputs": windows[0][:20],
        "report": "# Trio\n",
        "metrics": {"micro_f1": 0.9, "per_label": {"piano": 0.8}},
        "provenance": [{"source": "made up", "licence": "CC0-1.0", "use": "training"}],
        "libraries": {"numpy": np.__version__},
    }


@pytest.fixture(scope="session")
def original(fields, tmp_path_factory):
    return write(tmp_path_factory.mktemp("original"), **fields).parents[1]


@pytest.fixture
def artefacts(original, tmp_path):
    """An artefacts folder that holds trio 1."""
    return Path(shutil.copytree(original, tmp_path / "artefacts"))


@pytest.fixture
def trio(artefacts):
    """The folder of trio 1."""
    return artefacts / "trio" / "1"


@pytest.fixture
def rewrite():
    """Change fields of a manifest and update its hashes: wrong values, valid checksums."""

    def change(folder, **changes):
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text()) | changes
        manifest["files"] = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in manifest["files"]
        }
        path.write_text(json.dumps(manifest))

    return change
