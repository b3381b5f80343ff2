"""Features in, scores out by Ray Serve: ray_server.py GRAPH PORT."""

import sys

import numpy as np
import onnxruntime
import ray
from ray import serve


@serve.deployment(max_ongoing_requests=200)
class Scores:
    def __init__(self, graph):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options)

    async def __call__(self, request):
        rows = np.array((await request.json())["features"], np.float32)
        return {"scores": self.session.run(["scores"], {"features": rows})[0].tolist()}


if __name__ == "__main__":
    ray.init(
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        configure_logging=False,
        log_to_driver=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(Scores.bind(sys.argv[1]), route_prefix="/predict", blocking=True)
