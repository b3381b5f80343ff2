"""Features in, scores out by DEEPaaS: its entry point `deepaas.v2.model`; GRAPH names the graph."""

import json
import os

import numpy as np
import onnxruntime
from webargs import fields

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["GRAPH"], options)


def get_metadata():
    return {"name": "scores"}


def warm():
    pass


def get_predict_args():
    return {"features": fields.Str(required=True)}


def predict(features):
    rows = np.array(json.loads(features), np.float32)
    return {"scores": session.run(["scores"], {"features": rows})[0].tolist()}
