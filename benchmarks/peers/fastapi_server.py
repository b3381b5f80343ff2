"""The same request and response by FastAPI and ONNX Runtime, as such a service is usually written.

fastapi_server.py GRAPH PORT, run in the environment of fastapi.txt. The model runs in the event
loop, one thread: for a small model that is faster than a thread pool (measured).
"""

import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class InferRequest(BaseModel):
    id: str | None = None
    inputs: list[Tensor]


class InferResponse(BaseModel):
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[Tensor]


app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/v2/models/{name}/infer")
async def infer(name: str, request: InferRequest) -> InferResponse:
    sent = request.inputs[0]
    rows = np.array(sent.data, np.float32).reshape(sent.shape)
    (scores,) = session.run(["scores"], {sent.name: rows})
    output = Tensor(
        name="scores", shape=scores.shape, datatype="FP32", data=scores.ravel().tolist()
    )
    return InferResponse(model_name=name, model_version="1", id=request.id, outputs=[output])


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
