"""Trees by other libraries: forest_peer.py treelite FOREST.joblib ROWS.npy, one thread."""

import sys
import time
from importlib.metadata import version

import joblib
import numpy as np
import timed

KEPT = 100
"""Rows whose scores are told, to see that they are the same."""


def treelite(path, rows):
    import treelite as tl

    model = tl.sklearn.import_model(joblib.load(path))
    return lambda count: tl.gtil.predict(model, rows[:count], nthread=1)


name, path, rows_path = sys.argv[1:]
rows = np.load(rows_path)
begin = time.process_time()
call = globals()[name](path, rows)
load_ms = 1_000 * (time.process_time() - begin)
scores = np.asarray(call(KEPT)).tolist()
timed.serve(call, version=version(name), load_ms=load_ms, scores=scores)
