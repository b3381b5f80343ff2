"""A server with gRPC, and a client made of our own messages."""

from contextlib import AsyncExitStack

import grpc
import numpy as np
import pytest

from service.grpc_api.schema import CLASSES, SERVICE
from service.grpc_api.server import GrpcServer

RESPONSES = {"ModelStreamInfer": "ModelStreamInferResponse"}


class Client:
    """Calls methods by name; messages are made by `new`."""

    def __init__(self, server, grpc_server, channel):
        self.server, self.grpc_server, self.channel = server, grpc_server, channel

    def raw(self, method, service=SERVICE):
        return self.channel.unary_unary(f"/{service}/{method}")

    async def call(self, method, request=None, **options):
        """The response; `request` is a message, bytes, or None for an empty one."""
        data = request if isinstance(request, bytes) else b""
        if request is not None and not isinstance(request, bytes):
            data = request.SerializeToString()
        answer = await self.raw(method)(data, timeout=60, **options)
        return CLASSES[f"{method}Response"].FromString(answer)

    def stream(self, **options):
        return self.channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=CLASSES["ModelStreamInferResponse"].FromString,
        )(timeout=60, **options)


def new(kind, **fields):
    return CLASSES[kind](**fields)


def infer_request(rows, *, model="toy", name="x", raw=True, datatype="FP32", shape=None, **fields):
    """A ModelInferRequest of float32 (n, ...)."""
    rows = np.asarray(rows, np.float32)
    request = new("ModelInferRequest", model_name=model, **fields)
    sent = request.inputs.add(name=name, datatype=datatype, shape=shape or rows.shape)
    if raw:
        request.raw_input_contents.append(rows.tobytes())
    else:
        sent.contents.fp32_contents.extend(rows.ravel().tolist())
    return request


def scores_of(response):
    """The scores (rows, labels) of a ModelInferResponse."""
    (output,) = response.outputs
    return np.frombuffer(response.raw_output_contents[0], "<f4").reshape(output.shape)


@pytest.fixture
async def grpc_serve(serve):
    """Start servers by `await grpc_serve(setting=value, ...)`; they end with the test."""
    async with AsyncExitStack() as stack:

        async def start(**settings):
            server = await serve(grpc_port=0, **settings)
            grpc_server = GrpcServer(server.app)
            await grpc_server.start()
            stack.push_async_callback(grpc_server.stop)
            channel = grpc.aio.insecure_channel(
                f"127.0.0.1:{grpc_server.port}",
                options=[("grpc.max_send_message_length", -1)],
            )
            await stack.enter_async_context(channel)
            return Client(server, grpc_server, channel)

        yield start


@pytest.fixture
async def client(grpc_serve):
    return await grpc_serve()
