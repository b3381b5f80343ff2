"""Features in, scores out by BentoML: GRAPH=... bentoml serve bentoml_server:Scores --port PORT."""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Scores:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["GRAPH"], options)

    @bentoml.api
    def infer(self, features: np.ndarray) -> np.ndarray:
        rows = np.asarray(features, np.float32)
        return self.session.run(["scores"], {"features": rows})[0]
