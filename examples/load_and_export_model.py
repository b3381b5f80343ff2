"""Without a server: write a model's scores of a sound file as CSV, and export its ONNX graph.

Run: .venv/bin/python examples/load_and_export_model.py examples/quartet.ogg OUT
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import onnxruntime

from features.decode import decode
from features.extract import extract_many
from models.store import Store

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("path", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--model", default="instruments")
options = parser.parse_args()

store = Store()
model = store.load(options.model)  # hashes checked, golden inputs replayed, warm
config, kind = model.sound
samples = decode(options.path.read_bytes(), sample_rate=config.sample_rate)
windows = samples[: len(samples) // config.window * config.window].reshape(-1, config.window)
tensors = extract_many(windows, kind=kind, config=config)
scores = model.predict(tensors)  # shape (windows, labels)

options.out.mkdir(parents=True, exist_ok=True)
with (options.out / "scores.csv").open("w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows([model.labels, *scores.astype(float).round(4).tolist()])
graph = (store.path / model.name / model.version / "model.onnx").read_bytes()
(options.out / "model.onnx").write_bytes(graph)

session = onnxruntime.InferenceSession(graph)  # any ONNX runtime gives the same scores
again = session.run(None, {session.get_inputs()[0].name: tensors})[0]
np.testing.assert_allclose(again, scores, atol=1e-5)
