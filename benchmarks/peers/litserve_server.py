"""Features in, scores out by LitServe: litserve_server.py GRAPH PORT."""

import sys

import litserve
import numpy as np
import onnxruntime


class Scores(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options)

    def decode_request(self, request):
        return np.array(request["features"], np.float32)

    def predict(self, rows):
        return self.session.run(["scores"], {"features": np.atleast_2d(rows)})[0]

    def encode_response(self, scores):
        return {"scores": scores.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Scores(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[2]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
